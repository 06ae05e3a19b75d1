"""Identities of the ResNeXt module: form (c), the one it is built in, on the left."""

from typing import Any

import torch
from torch import Tensor

from hybridsep.equivalence import mappings
from hybridsep.equivalence.forms import Channels, Form, Function, Mapping, Weights, conv, module, norm
from hybridsep.modules import ResNeXt


def _form(chs: Channels, cardinality: int, transform: Function, mapping: Mapping) -> Form:
    """`transform` is the right side up to the last BatchNorm, which shortcut and sum follow."""

    def right(w: Weights, x: Tensor) -> Tensor:
        shortcut = x
        if "shortcut.conv.weight" in w:
            shortcut = norm(conv(x, w["shortcut.conv.weight"]), w, "shortcut.norm", relu=False)
        return norm(transform(w, x), w, "expand.norm", relu=False) + shortcut

    options: dict[str, Any] = {"cardinality": cardinality, "bottleneck_ratio": 1.0, "inner_ratio": 1.0}
    return Form(chs.in_chs, *module(lambda: ResNeXt(chs.in_chs, chs.out_chs, **options)), right, mapping)


def _spatial(w: Weights, x: Tensor, reduce: str, spatial: str) -> Tensor:
    """1x1 - 3x3, each with BatchNorm and ReLU."""
    for part in (reduce, spatial):
        x = norm(conv(x, w[f"{part}.conv.weight"]), w, f"{part}.norm")
    return x


def _towers(w: Weights, x: Tensor, count: int) -> list[Tensor]:
    return [_spatial(w, x, f"towers.{index}.reduce", f"towers.{index}.spatial") for index in range(count)]


def as_towers(chs: Channels) -> Form:
    def transform(w: Weights, x: Tensor) -> Tensor:
        towers = enumerate(_towers(w, x, chs.groups))
        return torch.stack([conv(y, w[f"towers.{index}.expand.conv.weight"]) for index, y in towers]).sum(0)

    return _form(chs, chs.groups, transform, lambda w: mappings.resnext_to_towers(w, chs.groups))


def as_concatenated(chs: Channels) -> Form:
    def transform(w: Weights, x: Tensor) -> Tensor:
        return conv(torch.cat(_towers(w, x, chs.groups), dim=1), w["expand.conv.weight"])

    return _form(chs, chs.groups, transform, lambda w: mappings.resnext_to_concatenated(w, chs.groups))


def bottleneck(chs: Channels) -> Form:
    def transform(w: Weights, x: Tensor) -> Tensor:
        return conv(_spatial(w, x, "reduce", "grouped"), w["expand.conv.weight"])

    return _form(chs, 1, transform, dict)
