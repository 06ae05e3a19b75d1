"""The plain 3x3 convolution: what a separable convolution replaces (Figures 5 and 6, the rows "without")."""

from torch import Tensor, nn

from hybridsep.modules.layers import conv


class Dense(nn.Module):
    """One 3x3 convolution over all channels, without bias: (N, in_chs, H, W) -> (N, out_chs, H, W)."""

    def __init__(self, in_chs: int, out_chs: int):
        super().__init__()
        self.conv = conv(in_chs, out_chs, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)
