"""Identities of the separable convolution and of the hybrid, with separable convolutions or towers on the left."""

import torch
from torch import Tensor

from hybridsep.equivalence import mappings
from hybridsep.equivalence.forms import Channels, Form, Function, Weights, conv, module, per_channel
from hybridsep.equivalence.mappings import Tower
from hybridsep.modules import Hybrid, Separable, SeparableEquivalent
from hybridsep.modules.dense import Dense


def _sum_of_towers(towers: list[Tower], x: Tensor) -> Tensor:
    """ResNeXt's Figure 3(a) without nonlinearities; a tower without `reduce` takes the channel of its number."""
    paths = []
    for c, tower in enumerate(towers):
        own = x[:, c : c + 1] if tower.reduce is None else conv(x, tower.reduce)
        paths.append(conv(conv(own, tower.spatial), tower.expand))
    return torch.stack(paths).sum(0)


def _named(towers: list[Tower]) -> Weights:
    """Towers as named weights; `_towers` is the way back."""
    parts = [(f"{index}.{name}", part) for index, tower in enumerate(towers) for name, part in tower._asdict().items()]
    return {name: part for name, part in parts if part is not None}


def _towers(weights: Weights) -> list[Tower]:
    count = 1 + max(int(name.partition(".")[0]) for name in weights)
    return [
        Tower(weights.get(f"{index}.reduce"), weights[f"{index}.spatial"], weights[f"{index}.expand"])
        for index in range(count)
    ]


def _halves(weights: Weights) -> tuple[Tensor, Tensor]:
    return weights["depthwise.weight"], weights["pointwise.weight"]


def depthwise(chs: Channels) -> Form:
    return Form(
        chs.in_chs,
        {"kernels": (chs.in_chs, 3, 3)},
        lambda w, x: per_channel(x, w["kernels"]),
        lambda w, x: conv(x, w["weight"], groups=chs.in_chs),
        lambda w: {"weight": mappings.depthwise_to_grouped(w["kernels"])},
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


def _separable(chs: Channels, activation: str = "none") -> tuple[dict[str, tuple[int, ...]], Function]:
    return module(lambda: Separable(chs.in_chs, chs.out_chs, intermediate_activation=activation))


def as_towers(chs: Channels) -> Form:
    return Form(
        chs.in_chs,
        *_separable(chs),
        lambda w, x: _sum_of_towers(_towers(w), x),
        lambda w: _named(mappings.separable_to_towers(*_halves(w))),
    )


def _composed(w: Weights) -> Weights:
    return {"conv.weight": mappings.separable_to_dense(*_halves(w))}


def as_dense(chs: Channels) -> Form:
    _, dense = module(lambda: Dense(chs.in_chs, chs.out_chs))
    return Form(chs.in_chs, *_separable(chs), dense, _composed)


def as_row(chs: Channels) -> Form:
    _, right = module(lambda: SeparableEquivalent(chs.in_chs, chs.out_chs))
    return Form(chs.in_chs, *_separable(chs), right, dict)


def _hybrid(chs: Channels) -> tuple[dict[str, tuple[int, ...]], Function]:
    return module(
        lambda: Hybrid(
            chs.in_chs, chs.out_chs, leading_pointwise=True, identity=False, leading_norm_act=False, inner_ratio=1.0
        )
    )


def as_hybrid(chs: Channels) -> Form:
    _, right = _hybrid(chs)
    return Form(chs.in_chs, *_separable(chs), right, lambda w: mappings.separable_to_hybrid(*_halves(w)))


def hybrid_as_towers(chs: Channels) -> Form:
    return Form(
        chs.in_chs,
        *_hybrid(chs),
        lambda w, x: _sum_of_towers(_towers(w), x),
        lambda w: _named(mappings.hybrid_to_towers(w["expand.weight"], *_halves(w))),
    )


def with_relu(chs: Channels) -> Form:
    """The right side is the composed kernel; `bound` holds for any kernel, and any linear function at all.

    A linear L has L(x + y) = L(x) + L(y). If it came within e of f everywhere, f(x + y) - f(x) - f(y) would be at most
    3 e; so a third of that defect is an error no L can go below.
    """
    shapes, left = _separable(chs, "relu")
    _, dense = module(lambda: Dense(chs.in_chs, chs.out_chs))

    def bound(w: Weights, x: Tensor, other: Tensor) -> float:
        parts = [left(w, each) for each in (x + other, x, other)]
        largest = max(part.abs().max().item() for part in parts)
        return (parts[0] - parts[1] - parts[2]).abs().max().item() / 3 / largest

    return Form(chs.in_chs, shapes, left, dense, _composed, bound)
