"""The re-formulated Inception module (Figure 4; Chollet's Xception paper, Figure 3)."""

from torch import Tensor, nn

from hybridsep.errors import ConfigError
from hybridsep.modules import cost
from hybridsep.modules.cost import Cost
from hybridsep.modules.layers import ConvNormAct, conv, scaled


def inner_width(out_chs: int, segments: int, inner_ratio: float) -> int:
    """Return the towers' channels together: `out_chs * inner_ratio` to the nearest multiple of `segments`.

    Raises ConfigError when `segments` is below 1 or does not divide `out_chs`.
    """
    if segments < 1 or out_chs % segments:
        raise ConfigError(
            f"model.module.segments: {segments} does not divide {out_chs} channels; allowed: a divisor of every width"
        )
    return scaled(out_chs, inner_ratio, multiple=segments)


class ReformulatedInception(nn.Module):
    """One 1x1, then 3x3 convolutions on equal segments of its result: (N, in_chs, H, W) -> (N, out_chs, H, W).

    The 1x1 gives all towers' channels at once, `out_chs * inner_ratio`; the 3x3 convolutions are one grouped
    convolution. It equals the simplified Inception module (Xception's Figure 2: `segments` towers of 1x1 then 3x3,
    concatenated). `norm_act` puts BatchNorm and ReLU after the 1x1. Raises ConfigError when `segments` does not
    divide the widths.
    """

    def __init__(self, in_chs: int, out_chs: int, *, segments: int, norm_act: bool, inner_ratio: float):
        super().__init__()
        inner = inner_width(out_chs, segments, inner_ratio)
        self.pointwise = ConvNormAct(in_chs, inner, 1, act_layer="relu") if norm_act else conv(in_chs, inner, 1)
        self.grouped = conv(inner, out_chs, 3, groups=segments)

    def forward(self, x: Tensor) -> Tensor:
        return self.grouped(self.pointwise(x))

    @staticmethod
    def cost(
        in_chs: int, out_chs: int, height: int, width: int, *, segments: int, norm_act: bool, inner_ratio: float
    ) -> Cost:
        inner = inner_width(out_chs, segments, inner_ratio)
        pointwise = (cost.conv_norm if norm_act else cost.conv)(in_chs, inner, 1, height, width)
        return pointwise + cost.conv(inner, out_chs, 3, height, width, groups=segments)
