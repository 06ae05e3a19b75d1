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
    """Return `relu(norm(y))` by `batch_norm_relu`: (N, C, H, W) -> the same shape, dtype and layout."""
    if norm.training:
        norm.get_buffer("num_batches_tracked").add_(1)
    return batch_norm_relu(
        y, norm.get_buffer("running_mean"), norm.get_buffer("running_var"), norm.weight, norm.bias, norm
    )


def batch_norm_relu(
    y: Tensor, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, like: nn.BatchNorm2d
) -> Tensor:
    """Return `relu(F.batch_norm(y, ...))` of (N, C, H, W) with the mode, momentum and epsilon of `like`.

    In training `mean` and `variance`, the running ones, are updated in place. On a GPU it is one compiled function for
    all layers, which reads and writes an activation 8 times in place of 13, forward and backward together; the first
    call imports torch's compiler and compiles.
    """
    function = compiled() if y.is_cuda else _batch_norm_relu
    return function(y, mean, variance, weight, bias, like.training, cast(float, like.momentum), like.eps)


def _batch_norm_relu(y: Tensor, *arguments: object) -> Tensor:
    return F.relu(F.batch_norm(y, *arguments), inplace=True)  # type: ignore[arg-type]


@functools.cache
def compiled() -> Callable[..., Tensor]:
    """Return `relu(F.batch_norm(...))`, compiled once for all shapes."""
    return torch.compile(_batch_norm_relu, dynamic=True)
