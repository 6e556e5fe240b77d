"""Four small networks to pretrain by hand, one for each method that the article names: CNN, ResNet, RNN, attention.

Each takes small pictures, already normalised, (b, 3, h, w), and gives features (b, width). Rows of `models.TABLE` make
backbones of them: `load_backbone("small_cnn", weights=None)`.
"""

from collections import OrderedDict

import timm
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock
from torchvision.ops import Conv2dNormActivation

from .quick_layers import pool


def small_cnn() -> nn.Sequential:
    """Four convolutions, halving the picture twice, then the mean over all places: (b, 3, h, w) -> (b, 128)."""
    return _pooled(
        conv1=_convolution(3, 32, nn.MaxPool2d(2)),
        conv2=_convolution(32, 64, nn.MaxPool2d(2)),
        conv3=_convolution(64, 96),
        conv4=_convolution(96, 128),
    )


def small_resnet() -> nn.Sequential:
    """A convolution and three residual blocks (He et al. 2016), torchvision's own: (b, 3, h, w) -> (b, 128)."""
    return _pooled(
        stem=_convolution(3, 32, nn.MaxPool2d(2)),
        block1=BasicBlock(32, 32),
        block2=BasicBlock(32, 64, stride=2, downsample=_shortcut(32, 64)),
        block3=BasicBlock(64, 128, stride=2, downsample=_shortcut(64, 128)),
    )


def small_attention() -> nn.Module:
    """Four layers of attention over patches of 4x4 pixels (Dosovitskiy et al. 2021), timm's own: -> (b, 96)."""
    return timm.models.VisionTransformer(
        **{"img_size": 16, "patch_size": 4, "dynamic_img_size": True},
        **{"embed_dim": 96, "depth": 4, "num_heads": 4, "mlp_ratio": 2},
        **{"class_token": False, "global_pool": "avg", "fc_norm": False, "num_classes": 0},
    )


class RowGRU(nn.Module):
    """Reads a picture row by row, up and down, twice (GRU: Cho et al. 2014): (b, 3, h, w) -> (b, 128).

    A row is read as 16 columns; any other width is averaged to 16.
    """

    def __init__(self):
        super().__init__()
        self.rows = _Rows()
        self.gru1, self.gru2 = _States(128, 64), _States(128, 64)
        self.maps = _RowsAsMap()

    def forward(self, x: Tensor) -> Tensor:
        """The mean over all rows of the second layer's states."""
        return self.maps(self.gru2(self.gru1(self.rows(x)))).mean(dim=(2, 3))


class _Rows(nn.Module):
    """(b, 3, h, w) -> (b, h, 128)."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3 * 16, 128)

    def forward(self, x: Tensor) -> Tensor:
        return self.embed(pool(x, (x.shape[2], 16)).permute(0, 2, 1, 3).flatten(2))


class _States(nn.GRU):
    """A GRU in both directions that returns only its states (b, h, 2 * hidden), so that it can be a stage."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__(inputs, hidden, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[0]


class _RowsAsMap(nn.Module):
    """(b, h, c) -> (b, c, h, 1): a map one column wide."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)[..., None]


def _convolution(inputs: int, outputs: int, *then: nn.Module) -> nn.Sequential:
    return nn.Sequential(*Conv2dNormActivation(inputs, outputs, inplace=False), *then)


def _shortcut(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))


def _pooled(**stages: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(**stages, pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()))


BODIES = {"small_cnn": small_cnn, "small_resnet": small_resnet, "small_gru": RowGRU, "small_attention": small_attention}
