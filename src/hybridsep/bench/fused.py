"""Bytes that `kernels=triton` saves, of those that `traffic.py` counts operation by operation.

For an activation of B bytes: an activation function that is one with its BatchNorm has no passes of its own, which are
2 B forward (read, written) and in training 3 B backward (output and gradient read, gradient written). BatchNorm itself
moves what the library's does. The backward pass of a depthwise convolution reads the gradient once instead of twice.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from hybridsep.kernels import replaceable


def saved(network: nn.Module, call: Callable[[], Any]) -> int:
    """Return the bytes that `kernels=triton` would save in `call`, which runs `network` as it is, with its library."""
    found = replaceable(network)
    counted = 0

    def norm(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal counted
        counted += (5 if module.training else 2) * _bytes(inputs[0])

    def depthwise(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal counted
        counted += _bytes(inputs[0]) if module.training else 0

    hooks = [each.norm.register_forward_pre_hook(norm) for each, slope in found.norms.items() if slope != 1]
    hooks += [each.register_forward_pre_hook(depthwise) for each in found.depthwise]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return counted


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
