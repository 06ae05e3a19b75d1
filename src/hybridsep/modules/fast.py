"""Modules with two ways to their function: what the paper's figure draws, step by step, and a faster one."""

import functools
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TwoWays(nn.Module):
    """A module with a `fast` way beside the one that the paper's figure draws.

    Parameters, their names and order, `state_dict` and hooks are the same in both; results differ in rounding.
    """

    fast: bool = False

    def gains(self, device: torch.device) -> bool:
        """Return whether `fast` changes anything on `device`."""
        return True


def use_fast(network: nn.Module) -> nn.Module:
    """Let the modules of `network` that have a fast way take it, and return the network."""
    for module in network.modules():
        if isinstance(module, TwoWays):
            module.fast = True
    return network


def has_fast(network: nn.Module, device: torch.device) -> bool:
    """Return whether `use_fast` changes anything on `device`."""
    return any(isinstance(module, TwoWays) and module.gains(device) for module in network.modules())


def norm_act(norm: nn.BatchNorm2d, act: nn.Module, y: Tensor, *, fast: bool) -> Tensor:
    """Return `act(norm(y))`; `fast` takes `norm_relu` on a GPU where the activation is a ReLU."""
    return norm_relu(norm, y) if fast and y.is_cuda and isinstance(act, nn.ReLU) else act(norm(y))


def norm_relu(norm: nn.BatchNorm2d, y: Tensor) -> Tensor:
    """Return `relu(norm(y))` as one compiled function: (N, C, H, W) -> the same shape, dtype and layout.

    It reads and writes an activation 8 times in place of 13, forward and backward together. The one function serves all
    layers. The first call imports torch's compiler and compiles.
    """
    if norm.training:
        norm.get_buffer("num_batches_tracked").add_(1)
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    training, momentum, eps = norm.training, cast(float, norm.momentum), norm.eps
    return batch_norm_relu()(y, mean, variance, norm.weight, norm.bias, training, momentum, eps)


@functools.cache
def batch_norm_relu() -> Callable[..., Tensor]:
    """Return `relu(F.batch_norm(...))`, compiled once for all shapes."""

    def function(y: Tensor, *arguments: object) -> Tensor:
        return F.relu(F.batch_norm(y, *arguments))  # type: ignore[arg-type]

    return torch.compile(function, dynamic=True)
