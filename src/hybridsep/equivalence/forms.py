"""What an identity is made of: two functions, the mapping between their weights, and plain convolutions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

Weights = dict[str, Tensor]
Function = Callable[[Weights, Tensor], Tensor]
Mapping = Callable[[Weights], Weights]
Shapes = dict[str, tuple[int, ...]]


class Channels(NamedTuple):
    """Widths of a case. `groups` (segments, cardinality) divides `out_chs`."""

    in_chs: int
    out_chs: int
    groups: int


@dataclass(frozen=True)
class Form:
    """Two sides of an identity. `shapes` are the left side's weights, `mapping` turns them into the right side's.

    `bound`, where the identity must not hold, returns an error (as a share of the largest output) below which no
    weights at all could bring the right side.
    """

    in_chs: int
    shapes: Shapes
    left: Function
    right: Function
    mapping: Mapping
    bound: Callable[[Weights, Tensor, Tensor], float] | None = None


def module(build: Callable[[], nn.Module]) -> tuple[Shapes, Function]:
    """Return a module's weight shapes and its function of (weights, x), with BatchNorm in training mode."""
    with torch.device("meta"):
        built = build().train()
    shapes = {name: tuple(parameter.shape) for name, parameter in built.named_parameters()}

    def call(weights: Weights, x: Tensor) -> Tensor:
        # Running statistics are written in training mode but not read.
        buffers = {
            name: torch.zeros(buffer.shape, dtype=x.dtype if buffer.is_floating_point() else buffer.dtype)
            for name, buffer in built.named_buffers()
        }
        return functional_call(built, {**weights, **buffers}, (x,))

    return shapes, call


def conv(x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    """Convolution at stride 1 that keeps height and width (odd kernels)."""
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=groups)


def per_channel(x: Tensor, kernels: Tensor) -> Tensor:
    """The definition of a depthwise convolution: each channel by itself with its kernel, kernels (C, k, k)."""
    planes = [conv(x[:, c : c + 1], kernel[None, None]) for c, kernel in enumerate(kernels)]
    return torch.cat(planes, dim=1)


def norm(x: Tensor, weights: Weights, prefix: str, *, relu: bool = True) -> Tensor:
    """BatchNorm with the batch's statistics and the weights `prefix.weight` and `prefix.bias`, then ReLU."""
    y = F.batch_norm(x, None, None, weights[f"{prefix}.weight"], weights[f"{prefix}.bias"], training=True)
    return y.relu() if relu else y
