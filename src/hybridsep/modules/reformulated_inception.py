"""The re-formulated Inception module (Figure 4; Chollet's Xception paper, Figure 3)."""

from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

from hybridsep.errors import ConfigError
from hybridsep.modules.layers import ConvNormAct, Ratio, conv, scaled


class ReformulatedInception(nn.Module):
    """One 1x1, then 3x3 convolutions on equal segments of its result: (N, in_chs, H, W) -> (N, out_chs, H, W).

    The 1x1 gives all towers' channels at once, `out_chs * inner_ratio` to the nearest multiple of `segments`; the 3x3
    convolutions are one grouped convolution. It equals the simplified Inception module (Xception's Figure 2: `segments`
    towers of 1x1 then 3x3, concatenated). `norm_act` puts BatchNorm and ReLU after the 1x1. Raises ConfigError when
    `segments` does not divide the widths.
    """

    def __init__(
        self,
        in_chs: int,
        out_chs: int,
        *,
        segments: Annotated[int, Ge(1)] = 4,
        norm_act: bool = True,
        inner_ratio: Ratio = 1.0,
    ):
        super().__init__()
        if out_chs % segments:
            raise ConfigError(
                f"model.module.segments: {segments} does not divide {out_chs} channels; "
                "allowed: a divisor of every width"
            )
        inner = scaled(out_chs, inner_ratio, multiple=segments)
        self.pointwise = ConvNormAct(in_chs, inner, 1, act_layer="relu") if norm_act else conv(in_chs, inner, 1)
        self.grouped = conv(inner, out_chs, 3, groups=segments)

    def forward(self, x: Tensor) -> Tensor:
        return self.grouped(self.pointwise(x))
