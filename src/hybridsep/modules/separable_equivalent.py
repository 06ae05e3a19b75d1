"""The separable convolution as an aggregated transform (Figure 4; written as in ResNeXt's Figure 3a)."""

import torch.nn.functional as F
from torch import Tensor, nn

from hybridsep.modules.layers import conv


class SeparableEquivalent(nn.Module):
    """y = sum over channels c of P[:, c] * (D[c] conv x[c]): (N, in_chs, H, W) -> (N, out_chs, H, W).

    Each channel is a tower of its own: a 3x3 convolution D[c], then its expansion P[:, c] to all outputs; the towers
    are summed. Convolution is linear, so the sum is one dense 3x3 convolution with kernel P[o, c] * D[c], composed in
    every forward pass. Strictly equal to `Separable` without activation, whose parameters have the same names and
    shapes.
    """

    def __init__(self, in_chs: int, out_chs: int):
        super().__init__()
        # The two convolutions are never called: they hold D and P under the names that `Separable` gives them.
        self.depthwise = conv(in_chs, in_chs, 3, groups=in_chs)
        self.pointwise = conv(in_chs, out_chs, 1)

    def kernel(self) -> Tensor:
        """Return the composed dense kernel (out_chs, in_chs, 3, 3), in the parameters' dtype also under autocast."""
        return self.pointwise.weight * self.depthwise.weight.transpose(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel(), padding=1)
