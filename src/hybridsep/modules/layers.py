"""What the modules are made of: ConvNormAct, several of them as one, activations by name, rounding of inner widths."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor, nn

from hybridsep.modules.fast import TwoWays, batch_norm_relu, norm_act

Activation = Literal["none", "relu", "elu", "leaky_relu", "prelu"]
Ratio = Annotated[float, Gt(0)]

# In place, because each follows a normalisation, a convolution or an addition, whose backward passes do not read
# their own outputs. The slope .1 is darknet's.
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "relu": lambda: nn.ReLU(inplace=True),
    "elu": lambda: nn.ELU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.1, inplace=True),
    "prelu": nn.PReLU,
}


def activation(name: Activation) -> nn.Module:
    """Return the activation called `name`. Only "prelu" has a parameter, one slope for a layer (He et al. 2015)."""
    return _ACTIVATIONS[name]()


def scaled(width: float, ratio: float, *, multiple: int = 1) -> int:
    """Return `width * ratio` rounded to the nearest positive multiple of `multiple`; ratio 1 keeps a whole `width`."""
    if ratio == 1:
        multiple = 1
    return max(1, math.floor(width * ratio / multiple + 0.5)) * multiple


def conv(in_chs: int, out_chs: int, kernel_size: int, *, groups: int = 1, stride: int = 1) -> nn.Conv2d:
    """Convolution without bias, padded so that at stride 1 it keeps height and width (odd kernels)."""
    padding = kernel_size // 2
    return nn.Conv2d(in_chs, out_chs, kernel_size, stride=stride, padding=padding, groups=groups, bias=False)


class ConvNormAct(TwoWays):
    """Convolution without bias, BatchNorm, activation: (N, in_chs, H, W) -> (N, out_chs, H, W).

    `fast`: on a GPU BatchNorm and ReLU are one compiled function.
    """

    def __init__(
        self, in_chs: int, out_chs: int, kernel_size: int, *, act_layer: Activation, groups: int = 1, stride: int = 1
    ):
        super().__init__()
        self.conv = conv(in_chs, out_chs, kernel_size, groups=groups, stride=stride)
        self.norm = nn.BatchNorm2d(out_chs)
        self.act = activation(act_layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm_act(self.conv(x))

    def norm_act(self, y: Tensor) -> Tensor:
        """Return the normalised and activated output `y` of the convolution."""
        return norm_act(self.norm, self.act, y, fast=self.fast)

    def gains(self, device: torch.device) -> bool:
        return device.type == "cuda" and isinstance(self.act, nn.ReLU)


def joined_conv(x: Tensor, layers: Sequence[ConvNormAct]) -> tuple[Tensor, ...]:
    """Return the outputs of the layers' 1x1 convolutions of `x`, carried out as one; views of one tensor."""
    y = F.conv2d(x, torch.cat([layer.conv.weight for layer in layers]))
    return y.split([layer.conv.out_channels for layer in layers], dim=1)


def joined_norm_relu(parts: Sequence[Tensor], layers: Sequence[ConvNormAct]) -> Tensor:
    """Return `torch.cat([layer.norm_act(part) ...], dim=1)` with one BatchNorm and one ReLU for all channels.

    Both treat each channel by itself, so it is the same function; running statistics and counters go to the layers.
    The layers have the activation "relu", and one momentum and epsilon.
    """
    norms = [layer.norm for layer in layers]
    mean, variance, weight, bias = (
        torch.cat([getattr(norm, name) for norm in norms]) for name in ("running_mean", "running_var", "weight", "bias")
    )
    y = batch_norm_relu(torch.cat(list(parts), dim=1), mean, variance, weight, bias, norms[0])
    if norms[0].training:
        widths = [norm.num_features for norm in norms]
        for norm, part_mean, part_variance in zip(norms, mean.split(widths), variance.split(widths), strict=True):
            norm.get_buffer("running_mean").copy_(part_mean)
            norm.get_buffer("running_var").copy_(part_variance)
            norm.get_buffer("num_batches_tracked").add_(1)
    return y
