"""The hybrid hypothesis (Figure 4): ResNeXt at cardinality = channels, joined to Inception's cross-channel 1x1."""

from torch import Tensor, nn

from hybridsep.errors import ConfigError
from hybridsep.modules.layers import ConvNormAct, Ratio, conv, scaled


class Hybrid(nn.Module):
    """1x1 - depthwise 3x3 - 1x1, nothing in between: (N, in_chs, H, W) -> (N, out_chs, H, W).

    The leading 1x1 (`expand`) gives every tower its one channel, the 3x3 is a tower each (cardinality = channels), the
    last 1x1 aggregates them by summation. The figure is not in the text we have, so three more readings are keywords:
    `leading_pointwise=False` (then it is `Separable`), `identity=True` (adds x back, through a 1x1 where the widths
    differ), `leading_norm_act=True` (BatchNorm and ReLU after the leading 1x1). `inner_ratio` scales the number of
    towers.
    Raises ConfigError when `leading_norm_act` or an `inner_ratio` other than 1 comes without the leading 1x1.
    """

    def __init__(
        self,
        in_chs: int,
        out_chs: int,
        *,
        leading_pointwise: bool = True,
        identity: bool = False,
        leading_norm_act: bool = False,
        inner_ratio: Ratio = 1.0,
    ):
        super().__init__()
        if not leading_pointwise and leading_norm_act:
            raise ConfigError(
                "model.module.leading_norm_act: true needs leading_pointwise=true; without it, only false"
            )
        if not leading_pointwise and inner_ratio != 1:
            raise ConfigError(
                f"model.module.inner_ratio: {inner_ratio} needs leading_pointwise=true; without it, only 1.0"
            )
        inner = scaled(in_chs, inner_ratio)
        self.expand: nn.Module = nn.Identity()
        if leading_norm_act:
            self.expand = ConvNormAct(in_chs, inner, 1, act_layer="relu")
        elif leading_pointwise:
            self.expand = conv(in_chs, inner, 1)
        self.depthwise = conv(inner, inner, 3, groups=inner)
        self.pointwise = conv(inner, out_chs, 1)
        self.identity = identity
        self.projection = conv(in_chs, out_chs, 1) if identity and in_chs != out_chs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(self.depthwise(self.expand(x)))
        return y + self.projection(x) if self.identity else y
