"""Identities of the separable convolution and of the hybrid, with separable convolutions or towers on the left."""

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from hybridsep.equivalence import mappings
from hybridsep.equivalence.forms import Channels, Form, Function, Shapes, Weights, conv, module, per_channel
from hybridsep.modules import Hybrid, Separable, SeparableEquivalent
from hybridsep.modules.dense import Dense
from hybridsep.modules.fast import use_fast


def depthwise(chs: Channels) -> Form:
    return Form(
        chs.in_chs,
        {"kernels": (chs.in_chs, 3, 3)},
        lambda w, x: per_channel(x, w["kernels"]),
        lambda w, x: conv(x, w["weight"], groups=chs.in_chs),
        lambda w: {"weight": w["kernels"].unsqueeze(1)},
    )


def grouped(chs: Channels) -> Form:
    each = max(1, chs.in_chs // chs.groups)
    return Form(
        chs.groups * each,
        {"weight": (chs.out_chs, each, 3, 3)},
        lambda w, x: conv(x, w["weight"], groups=chs.groups),
        lambda w, x: conv(x, w["weight"]),
        lambda w: {"weight": mappings.grouped_to_dense(w["weight"], chs.groups)},
    )


def _separable(chs: Channels, activation: Literal["none", "relu"] = "none") -> tuple[Shapes, Function]:
    return module(lambda: Separable(chs.in_chs, chs.out_chs, intermediate_activation=activation))


def _hybrid(chs: Channels) -> tuple[Shapes, Function]:
    options: dict[str, Any] = {
        "leading_pointwise": True,
        "identity": False,
        "leading_norm_act": False,
        "inner_ratio": 1.0,
    }
    return module(lambda: Hybrid(chs.in_chs, chs.out_chs, **options))


def _sum_of_towers(w: Weights, x: Tensor) -> Tensor:
    """ResNeXt's Figure 3(a) without nonlinearities; a tower without `reduce` takes the channel of its number."""
    paths = []
    for c in range(x.shape[1]):
        channel = conv(x, w[f"{c}.reduce"]) if f"{c}.reduce" in w else x[:, c : c + 1]
        paths.append(conv(conv(channel, w[f"{c}.spatial"]), w[f"{c}.expand"]))
    return torch.stack(paths).sum(0)


def _composed(w: Weights) -> Weights:
    return {"conv.weight": mappings.separable_to_dense(w["depthwise.weight"], w["pointwise.weight"])}


def as_towers(chs: Channels) -> Form:
    return Form(chs.in_chs, *_separable(chs), _sum_of_towers, mappings.channels_to_towers)


def hybrid_as_towers(chs: Channels) -> Form:
    return Form(chs.in_chs, *_hybrid(chs), _sum_of_towers, mappings.channels_to_towers)


def as_dense(chs: Channels, activation: Literal["none", "relu"] = "none") -> Form:
    _, dense = module(lambda: Dense(chs.in_chs, chs.out_chs))
    return Form(chs.in_chs, *_separable(chs, activation), dense, _composed)


def as_row(chs: Channels) -> Form:
    _, right = module(lambda: use_fast(SeparableEquivalent(chs.in_chs, chs.out_chs)))
    return Form(chs.in_chs, *_separable(chs), right, dict)


def as_hybrid(chs: Channels) -> Form:
    def mapping(w: Weights) -> Weights:
        return mappings.separable_to_hybrid(w["depthwise.weight"], w["pointwise.weight"])

    return Form(chs.in_chs, *_separable(chs), _hybrid(chs)[1], mapping)


def with_relu(chs: Channels) -> Form:
    """The right side is the composed kernel; `bound` holds for any kernel, and any linear function at all.

    A linear L has L(x + y) = L(x) + L(y). If it came within e of f everywhere, f(x + y) - f(x) - f(y) would be at most
    3 e; so a third of that defect is an error no L can go below.
    """
    form = as_dense(chs, "relu")

    def bound(w: Weights, x: Tensor, other: Tensor) -> float:
        parts = [form.left(w, each) for each in (x + other, x, other)]
        largest = max(part.abs().max().item() for part in parts)
        return (parts[0] - parts[1] - parts[2]).abs().max().item() / 3 / largest

    return replace(form, bound=bound)
