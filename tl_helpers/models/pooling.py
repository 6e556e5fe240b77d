"""Average pooling to a fixed size on every device."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.utils import _pair


def pool(x: Tensor, size: int | tuple[int | None, int | None]) -> Tensor:
    """torch's adaptive_avg_pool2d; on mps, which takes only sizes that divide (pytorch#96056), via the CPU."""
    divides = all(not wanted or side % wanted == 0 for side, wanted in zip(x.shape[-2:], _pair(size), strict=True))
    if _refuses(x.device) and not divides:
        return F.adaptive_avg_pool2d(x.cpu(), size).to(x.device)
    return F.adaptive_avg_pool2d(x, size)


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """torch's own layer, computed by `pool`."""

    def forward(self, x: Tensor) -> Tensor:
        return pool(x, self.output_size)


def pool_anywhere(body: nn.Module) -> nn.Module:
    """Make every such pooling layer of a body use `pool`, in place."""
    for module in body.modules():
        if type(module) is nn.AdaptiveAvgPool2d:
            module.__class__ = AdaptiveAvgPool2d
    return body


def _refuses(device: torch.device) -> bool:
    return device.type == "mps"
