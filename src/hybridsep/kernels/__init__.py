"""How layers are carried out where the library's way is slow: our kernels for an NVIDIA GPU (`kernels=triton`), and
merged groups on a CPU. Triton is imported when a kernel is first needed, not here.
"""

from hybridsep.kernels.cases import DepthwiseCase, NormCase, Way, depthwise_cases, depthwise_ways, norm_cases, norm_ways
from hybridsep.kernels.depthwise import depthwise_conv3x3
from hybridsep.kernels.grouped import MergedGroups, merge_groups, narrow_groups
from hybridsep.kernels.install import Installed, TritonDepthwise, TritonNormAct, install, replaceable, suit
from hybridsep.kernels.norm import batch_norm_act

__all__ = [
    "DepthwiseCase",
    "Installed",
    "MergedGroups",
    "NormCase",
    "TritonDepthwise",
    "TritonNormAct",
    "Way",
    "batch_norm_act",
    "depthwise_cases",
    "depthwise_conv3x3",
    "depthwise_ways",
    "install",
    "merge_groups",
    "narrow_groups",
    "norm_cases",
    "norm_ways",
    "replaceable",
    "suit",
]
