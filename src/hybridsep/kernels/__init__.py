"""Own kernels for an NVIDIA GPU (`kernels=triton`). Triton is imported when a kernel is first needed, not here."""

from hybridsep.kernels.cases import DepthwiseCase, NormCase, Way, depthwise_cases, depthwise_ways, norm_cases, norm_ways
from hybridsep.kernels.depthwise import depthwise_conv3x3
from hybridsep.kernels.install import Installed, TritonDepthwise, TritonNormAct, install, replaceable
from hybridsep.kernels.norm import batch_norm_act

__all__ = [
    "DepthwiseCase",
    "Installed",
    "NormCase",
    "TritonDepthwise",
    "TritonNormAct",
    "Way",
    "batch_norm_act",
    "depthwise_cases",
    "depthwise_conv3x3",
    "depthwise_ways",
    "install",
    "norm_cases",
    "norm_ways",
    "replaceable",
]
