"""Grouped convolutions of few channels a group, carried out in wider groups: what a CPU's library is quick at."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# oneDNN computes 16 channels at once. On two cores (AVX-512 bfloat16), forward and backward together at batch 128, in
# ms: 64 channels at 32x32 in 32 groups 81, in 4 groups 38; at 4x4 5.4 and 0.8; 128 channels at 16x16 in 32 groups 24,
# in 8 groups 20. With 8 channels a group there is nothing left to win: 32 at 16x16 in 4 groups 4.8, in 2 groups 6.2.
_CHANNELS = 16
_FEW = 4


class GroupedConv2d(nn.Conv2d):
    """A grouped convolution without bias; `merged` says how it is carried out.

    1: by the library as it stands. More: that many neighbouring groups at a time are one, the weight filled with zeros.
    Zeros add nothing, so it is the grouped convolution but for the order of its sums, with the same parameters.
    """

    merged: int = 1

    def forward(self, x: Tensor) -> Tensor:
        if self.merged == 1:
            return super().forward(x)
        groups = self.groups // self.merged
        return F.conv2d(x, self.block_diagonal(), None, self.stride, self.padding, self.dilation, groups)

    def block_diagonal(self) -> Tensor:
        """Return the weight (out_chs, merged * in_chs / groups, kh, kw): each group's own channels, zeros elsewhere."""
        out_chs, width, *kernel = self.weight.shape
        groups, merged = self.groups, self.merged
        own = torch.eye(merged, dtype=self.weight.dtype, device=self.weight.device)
        blocks = self.weight.reshape(groups // merged, merged, out_chs // groups, 1, width, *kernel)
        return (blocks * own.view(1, merged, 1, merged, 1, 1, 1)).reshape(out_chs, merged * width, *kernel)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, merged={self.merged}" if self.merged > 1 else super().extra_repr()


def merge_groups(network: nn.Module) -> int:
    """Set `merged` of the grouped convolutions of `network` with 2 to 4 channels a group; return how many.

    Parameters, their names and order, `state_dict` and hooks stay as they are.
    """
    found = narrow_groups(network)
    for module, merged in found.items():
        module.merged = merged
    return len(found)


def narrow_groups(network: nn.Module) -> dict[GroupedConv2d, int]:
    """Return what `merge_groups` changes, on any device, with how many groups become one."""
    found = {}
    for module in network.modules():
        if isinstance(module, GroupedConv2d):
            merged = _merged(module.in_channels // module.groups, module.groups)
            if merged > 1:
                found[module] = merged
    return found


def _merged(width: int, groups: int) -> int:
    """Return the most groups of `width` channels that are at most 16 together and leave equal groups; 1 for none."""
    if not 1 < width <= _FEW:
        return 1
    return max(count for count in range(1, _CHANNELS // width + 1) if groups % count == 0)
