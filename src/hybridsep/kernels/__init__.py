"""Own kernels for an NVIDIA GPU (`kernels=triton`). Triton is imported when a kernel is first needed, not here."""

from hybridsep.kernels.cases import DepthwiseCase, Way, depthwise_cases, depthwise_ways
from hybridsep.kernels.depthwise import depthwise_conv3x3
from hybridsep.kernels.install import TritonDepthwise, install

__all__ = [
    "DepthwiseCase",
    "TritonDepthwise",
    "Way",
    "depthwise_cases",
    "depthwise_conv3x3",
    "depthwise_ways",
    "install",
]
