"""What the modules are made of: ConvNormAct, activations by name, and the rounding of inner widths."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from hybridsep.errors import ConfigError
from hybridsep.modules.grouped import GroupedConv2d

# In place, because each follows a normalisation, a convolution or an addition, whose backward passes do not read
# their own outputs. The slope .1 is darknet's.
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "relu": lambda: nn.ReLU(inplace=True),
    "elu": lambda: nn.ELU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.1, inplace=True),
}


def activation(name: str, *, key: str, allowed: tuple[str, ...] = tuple(_ACTIVATIONS)) -> nn.Module:
    """Return the activation called `name`, without parameters.

    Raises ConfigError, naming the configuration key `key`, when `name` is not one of `allowed`.
    """
    if name not in allowed:
        raise ConfigError(f"{key}: unknown activation {name!r}; allowed: {', '.join(allowed)}")
    return _ACTIVATIONS[name]()


def scaled(width: float, ratio: float, *, multiple: int = 1) -> int:
    """Return `width * ratio` rounded to the nearest positive multiple of `multiple`; ratio 1 keeps a
    whole `width` as it is.

    Raises ConfigError when the ratio is not a positive, finite number.
    """
    if not (math.isfinite(ratio) and ratio > 0):
        raise ConfigError(f"model.module.inner_ratio: {ratio} is not allowed; a finite number above 0 is")
    if ratio == 1:
        multiple = 1
    return max(1, math.floor(width * ratio / multiple + 0.5)) * multiple


def conv(in_chs: int, out_chs: int, kernel_size: int, *, groups: int = 1, stride: int = 1) -> nn.Conv2d:
    """Convolution without bias, padded so that at stride 1 it keeps height and width (odd kernels)."""
    padding = kernel_size // 2
    kind = nn.Conv2d if groups == 1 else GroupedConv2d
    return kind(in_chs, out_chs, kernel_size, stride=stride, padding=padding, groups=groups, bias=False)


class ConvNormAct(nn.Module):
    """Convolution without bias, BatchNorm, activation: (N, in_chs, H, W) -> (N, out_chs, H, W).

    Raises ConfigError, naming `model.network.act_layer`, for an unknown activation.
    """

    def __init__(
        self, in_chs: int, out_chs: int, kernel_size: int, *, act_layer: str, groups: int = 1, stride: int = 1
    ):
        super().__init__()
        self.conv = conv(in_chs, out_chs, kernel_size, groups=groups, stride=stride)
        self.norm = nn.BatchNorm2d(out_chs)
        self.act = activation(act_layer, key="model.network.act_layer")

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))
