"""The ResNeXt module (Figure 4; Xie et al. 2016, Figure 3c)."""

import math
import re
from typing import Annotated, NamedTuple

from annotated_types import Ge, Predicate, doc
from torch import Tensor, nn

from hybridsep.errors import ConfigError
from hybridsep.modules.layers import ConvNormAct, Ratio, scaled


def _is_limit(text: str) -> bool:
    return re.fullmatch(r"<=[1-9][0-9]{0,5}", text) is not None


Cardinality = Annotated[int, Ge(1)] | Annotated[str, Predicate(_is_limit), doc('such as "<=32"')]


class Bottleneck(NamedTuple):
    """`inner`: channels of the grouped 3x3 convolution. `groups`: its cardinality."""

    inner: int
    groups: int


def bottleneck(out_chs: int, cardinality: Cardinality, bottleneck_ratio: float, inner_ratio: float) -> Bottleneck:
    """Return inner width and cardinality of a module with `out_chs` outputs.

    The inner width is `out_chs * bottleneck_ratio * inner_ratio`. A number must divide it; for an `inner_ratio` other
    than 1 the width is rounded to a multiple of that number. "<=32" means the largest divisor not above 32; for an
    `inner_ratio` other than 1 the width is then rounded to a multiple of the smallest power of two that leaves at most
    32 channels a unit, so that the cardinality stays above 16 (a prime width would turn the groups into one dense
    convolution). Raises ConfigError.
    """
    full = scaled(out_chs, bottleneck_ratio)
    if isinstance(cardinality, str):
        limit = int(cardinality.removeprefix("<="))
        multiple = 1 << max(0, math.ceil(math.log2(scaled(full, inner_ratio) / limit)))
        inner = scaled(full, inner_ratio, multiple=multiple)
        return Bottleneck(inner, max(divisor for divisor in range(1, limit + 1) if inner % divisor == 0))
    inner = scaled(full, inner_ratio, multiple=cardinality)
    if inner % cardinality:
        below = max(divisor for divisor in _divisors(inner) if divisor < cardinality)
        above = min((divisor for divisor in _divisors(inner) if divisor > cardinality), default=below)
        nearest = " and ".join(str(divisor) for divisor in sorted({below, above}))
        raise ConfigError(
            f"model.module.cardinality: {cardinality} does not divide the inner width {inner} of {out_chs} channels;"
            f' nearest that do: {nearest} (or "<={cardinality}")'
        )
    return Bottleneck(inner, cardinality)


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


class ResNeXt(nn.Module):
    """1x1 - grouped 3x3 - 1x1 with a shortcut: (N, in_chs, H, W) -> (N, out_chs, H, W).

    BatchNorm after every convolution, ReLU after the first two. The shortcut is the identity, or a 1x1 projection with
    BatchNorm where the widths differ. The ReLU after the sum belongs to the network around it: `relu(module(x))` is
    torchvision's `Bottleneck` at stride 1. `bottleneck` above says how inner width and `cardinality` come about,
    and which ConfigErrors are raised.
    """

    def __init__(
        self,
        in_chs: int,
        out_chs: int,
        *,
        cardinality: Cardinality = "<=32",
        bottleneck_ratio: Ratio = 0.5,
        inner_ratio: Ratio = 1.0,
    ):
        super().__init__()
        inner, groups = bottleneck(out_chs, cardinality, bottleneck_ratio, inner_ratio)
        self.reduce = ConvNormAct(in_chs, inner, 1, act_layer="relu")
        self.grouped = ConvNormAct(inner, inner, 3, act_layer="relu", groups=groups)
        self.expand = ConvNormAct(inner, out_chs, 1, act_layer="none")
        same = in_chs == out_chs
        self.shortcut = nn.Identity() if same else ConvNormAct(in_chs, out_chs, 1, act_layer="none")

    def forward(self, x: Tensor) -> Tensor:
        return self.expand(self.grouped(self.reduce(x))) + self.shortcut(x)
