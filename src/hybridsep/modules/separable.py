"""The separable convolution, the paper's baseline (Figure 4, first row)."""

from typing import Literal

from torch import Tensor, nn

from hybridsep.modules.layers import activation, conv


class Separable(nn.Module):
    """Depthwise 3x3, then pointwise 1x1: (N, in_chs, H, W) -> (N, out_chs, H, W).

    `intermediate_activation` ("none", "relu" or "elu") stands between the halves, without normalisation: Xception's
    experiment, section 4 of the paper.
    """

    def __init__(self, in_chs: int, out_chs: int, *, intermediate_activation: Literal["none", "relu", "elu"] = "none"):
        super().__init__()
        self.depthwise = conv(in_chs, in_chs, 3, groups=in_chs)
        self.activation = activation(intermediate_activation)
        self.pointwise = conv(in_chs, out_chs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.activation(self.depthwise(x)))
