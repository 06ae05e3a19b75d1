"""Grouped convolutions of few channels a group, carried out in wider groups: what a CPU's library is quick at."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridsep.modules.fast import TwoWays

# oneDNN computes 16 channels at once. On two cores (AVX-512 bfloat16), forward and backward together at batch 128, in
# ms: 64 channels at 32x32 in 32 groups 81, in 4 groups 38; at 4x4 5.4 and 0.8; 128 channels at 16x16 in 32 groups 24,
# in 8 groups 20. With 8 channels a group there is nothing left to win: 32 at 16x16 in 4 groups 4.8, in 2 groups 6.2.
# A whole step of ResNeXt on one thread, bfloat16: x 1.19 at size small, x 1.13 at paper; in float32 no difference.
_CHANNELS = 16
_FEW = 4


class GroupedConv2d(TwoWays, nn.Conv2d):
    """A grouped convolution without bias. `fast`: `merged` neighbouring groups at a time are one.

    The weight is then filled with zeros. Zeros add nothing, so it is the grouped convolution but for the order of its
    sums, with the same parameters. Only 2 to 4 channels a group are merged.
    """

    @property
    def merged(self) -> int:
        """The most groups that are at most 16 channels together and leave equal groups; 1: none are merged."""
        width = self.in_channels // self.groups
        if not 1 < width <= _FEW:
            return 1
        return max(count for count in range(1, _CHANNELS // width + 1) if self.groups % count == 0)

    def gains(self, device: torch.device) -> bool:
        return self.merged > 1

    def forward(self, x: Tensor) -> Tensor:
        if not self.fast or self.merged == 1:
            return super().forward(x)
        groups = self.groups // self.merged
        return F.conv2d(x, self.block_diagonal(), None, self.stride, self.padding, self.dilation, groups)

    def block_diagonal(self) -> Tensor:
        """Return the weight (out_chs, merged * in_chs / groups, kh, kw): each group's own channels, zeros elsewhere."""
        out_chs, width, *kernel = self.weight.shape
        groups, merged = self.groups, self.merged
        diagonal = torch.eye(merged, dtype=self.weight.dtype, device=self.weight.device)
        blocks = self.weight.reshape(groups // merged, merged, out_chs // groups, 1, width, *kernel)
        return (blocks * diagonal.view(1, merged, 1, merged, 1, 1, 1)).reshape(out_chs, merged * width, *kernel)
