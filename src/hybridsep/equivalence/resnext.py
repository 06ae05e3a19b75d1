"""Identities of the ResNeXt module: form (c), the one it is built in, on the left."""

import torch
from torch import Tensor

from hybridsep.equivalence import mappings
from hybridsep.equivalence.forms import Channels, Form, Function, Weights, conv, module, norm
from hybridsep.modules import ResNeXt


def _resnext(chs: Channels, cardinality: int) -> tuple[dict[str, tuple[int, ...]], Function]:
    return module(
        lambda: ResNeXt(chs.in_chs, chs.out_chs, cardinality=cardinality, bottleneck_ratio=1.0, inner_ratio=1.0)
    )


def _shortcut(w: Weights, x: Tensor) -> Tensor:
    if "shortcut.conv.weight" not in w:
        return x
    return norm(conv(x, w["shortcut.conv.weight"]), w, "shortcut.norm", relu=False)


def _spatial(w: Weights, x: Tensor, index: int) -> Tensor:
    """A tower up to its 3x3: 1x1 - 3x3, each with BatchNorm and ReLU."""
    tower = f"towers.{index}"
    y = norm(conv(x, w[f"{tower}.reduce.conv.weight"]), w, f"{tower}.reduce.norm")
    return norm(conv(y, w[f"{tower}.spatial.conv.weight"]), w, f"{tower}.spatial.norm")


def as_towers(chs: Channels) -> Form:
    def right(w: Weights, x: Tensor) -> Tensor:
        paths = [conv(_spatial(w, x, i), w[f"towers.{i}.expand.conv.weight"]) for i in range(chs.groups)]
        return norm(torch.stack(paths).sum(0), w, "expand.norm", relu=False) + _shortcut(w, x)

    return Form(chs.in_chs, *_resnext(chs, chs.groups), right, lambda w: mappings.resnext_to_towers(w, chs.groups))


def as_concatenated(chs: Channels) -> Form:
    def right(w: Weights, x: Tensor) -> Tensor:
        joined = torch.cat([_spatial(w, x, index) for index in range(chs.groups)], dim=1)
        return norm(conv(joined, w["expand.conv.weight"]), w, "expand.norm", relu=False) + _shortcut(w, x)

    return Form(
        chs.in_chs, *_resnext(chs, chs.groups), right, lambda w: mappings.resnext_to_concatenated(w, chs.groups)
    )


def bottleneck(chs: Channels) -> Form:
    def right(w: Weights, x: Tensor) -> Tensor:
        y = norm(conv(x, w["reduce.conv.weight"]), w, "reduce.norm")
        y = norm(conv(y, w["grouped.conv.weight"]), w, "grouped.norm")
        return norm(conv(y, w["expand.conv.weight"]), w, "expand.norm", relu=False) + _shortcut(w, x)

    return Form(chs.in_chs, *_resnext(chs, 1), right, dict)
