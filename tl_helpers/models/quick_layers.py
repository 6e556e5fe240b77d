"""Layers of torch and timm that compute what they always do, in a way that suits the device."""

import torch
from timm.layers import Conv2dSame, get_same_padding
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.utils import _pair

_REFUSES = "mps"


def pool(x: Tensor, size: int | tuple[int | None, int | None]) -> Tensor:
    """torch's adaptive_avg_pool2d; on mps, which takes only sizes that divide (pytorch#96056), via the CPU."""
    if x.device.type == _REFUSES and any(n and side % n for side, n in zip(x.shape[-2:], _pair(size), strict=True)):
        return F.adaptive_avg_pool2d(x.cpu(), size).to(x.device)
    return F.adaptive_avg_pool2d(x, size)


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """torch's own layer, computed by `pool`."""

    def forward(self, x: Tensor) -> Tensor:
        return pool(x, self.output_size)


class SamePadding(Conv2dSame):
    """timm's convolution with TensorFlow's padding, which may need one pixel more below and on the right than above and left.

    timm copies the maps into larger ones for that. On a CPU this takes longer than the convolution itself, so there the
    kernel gets the missing pixel instead, a row and a column of zeros at its other end, and both sides are padded alike.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps (b, c, h, w) -> (b, out, ⌈h / stride⌉, ⌈w / stride⌉)."""
        if x.device.type != "cpu" or self.dilation != (1, 1):
            return super().forward(x)
        sides = zip(map(int, x.shape[-2:]), self.weight.shape[-2:], self.stride, self.dilation, strict=True)
        tall, wide = (get_same_padding(*side) for side in sides)  # how many pixels are missing in all
        kernel = F.pad(self.weight, (wide % 2, 0, tall % 2, 0))
        return F.conv2d(x, kernel, self.bias, self.stride, (tall - tall // 2, wide - wide // 2), groups=self.groups)


class _Clip(torch.autograd.Function):
    """min(max(x, 0), 6) in place; the gradient is told by the result, so nothing else is kept for it."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        ctx.save_for_backward(x.clamp_(0.0, 6.0))
        return x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return torch.ops.aten.hardtanh_backward(gradient, *ctx.saved_tensors, 0.0, 6.0)


class ReLU6(nn.ReLU6):
    """torch's own layer; in place, that one copies its input for the gradient, and this one, while it trains, does not."""

    def forward(self, x: Tensor) -> Tensor:
        learns = self.inplace and self.training and x.requires_grad
        return _Clip.apply(x) if learns and not torch._C._are_functorch_transforms_active() else super().forward(x)


def exchange(body: nn.Module, layers: dict[type, type]) -> nn.Module:
    """Give every layer of a body that is exactly of a type in `layers` the class beside it, in place; returns the body."""
    for module in body.modules():
        module.__class__ = layers.get(type(module), type(module))
    return body


SUITED = {nn.AdaptiveAvgPool2d: AdaptiveAvgPool2d, Conv2dSame: SamePadding, nn.ReLU6: ReLU6}
