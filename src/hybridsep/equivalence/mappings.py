"""Weight mappings: the weights of one form of a module -> the weights of another form of the same function.

Every mapping is differentiable, and linear in each of its arguments. C is the number of input
channels, C' of output channels, k the kernel size. Weights have PyTorch's layout (out, in / groups, k, k).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def grouped_to_dense(weight: Tensor, groups: int) -> Tensor:
    """Grouped weight (C', C / groups, k, k) -> dense weight (C', C, k, k), zero outside the groups' diagonal blocks.

    Raises ValueError when `groups` does not divide C'.
    """
    if groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"groups: {groups} does not divide {weight.shape[0]} output channels")
    blocks = weight.unflatten(0, (groups, -1))
    diagonal = torch.eye(groups, dtype=weight.dtype, device=weight.device)
    return torch.einsum("goikl,gh->gohikl", blocks, diagonal).flatten(2, 3).flatten(0, 1)


def separable_to_dense(depthwise: Tensor, pointwise: Tensor) -> Tensor:
    """D (C, 1, k, k) and P (C', C, 1, 1) -> the composed dense kernel P[o, c] * D[c], (C', C, k, k) (section 3)."""
    return pointwise * depthwise.transpose(0, 1)


def separable_to_hybrid(depthwise: Tensor, pointwise: Tensor) -> dict[str, Tensor]:
    """D and P -> the weights of `Hybrid` with a leading 1x1 that is the identity (Figure 4, rows one and six)."""
    chs = depthwise.shape[0]
    identity = torch.eye(chs, dtype=depthwise.dtype, device=depthwise.device).view(chs, chs, 1, 1)
    return {"expand.weight": identity, "depthwise.weight": depthwise, "pointwise.weight": pointwise}


def channels_to_towers(state: State) -> dict[str, Tensor]:
    """`Separable`'s or `Hybrid`'s weights -> ResNeXt's Figure 3(a) with one channel a tower, to be summed.

    Tower c is `c.reduce` (1x1; of a separable convolution there is none: it takes channel c), `c.spatial`, `c.expand`.
    """
    towers: dict[str, Tensor] = {}
    for part, name, dim in (("reduce", "expand", 0), ("spatial", "depthwise", 0), ("expand", "pointwise", 1)):
        if f"{name}.weight" in state:
            pieces = state[f"{name}.weight"].split(1, dim)
            towers |= {f"{index}.{part}": piece for index, piece in enumerate(pieces)}
    return towers


def simplified_inception_to_reformulated(towers: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Towers of equal widths (1x1 weight, 3x3 weight), concatenated -> (one 1x1, one 3x3 with groups = towers).

    Xception's Figure 2 -> Figure 3; the results are `ReformulatedInception`'s `pointwise` and `grouped`. Raises
    ValueError when the towers' widths differ: segments of a grouped convolution are equal.
    """
    shapes = {(tuple(pointwise.shape), tuple(spatial.shape)) for pointwise, spatial in towers}
    if len(shapes) != 1:
        raise ValueError(f"towers: {len(shapes)} different shapes; a grouped form needs equal ones")
    pointwise, spatial = zip(*towers, strict=True)
    return torch.cat(pointwise), torch.cat(spatial)


def resnext_to_concatenated(state: State, cardinality: int) -> dict[str, Tensor]:
    """`ResNeXt`'s weights, Figure 3(c) -> Figure 3(b): a 1x1 and a 3x3 a tower, concatenated, and one last 1x1.

    `reduce.*` and `grouped.*`, with their BatchNorm, become `towers.<index>.reduce.*` and `towers.<index>.spatial.*`;
    `expand.*` and `shortcut.*` stay. Raises ValueError when `cardinality` does not divide the inner width.
    """
    inner = state["grouped.conv.weight"].shape[0]
    if cardinality < 1 or inner % cardinality:
        raise ValueError(f"cardinality: {cardinality} does not divide the inner width {inner}")
    parts, result = {"reduce": "reduce", "grouped": "spatial"}, {}
    for name, tensor in state.items():
        part, _, leaf = name.partition(".")
        if part not in parts:
            result[name] = tensor
            continue
        # BatchNorm's batch counter is one number that every tower shares.
        pieces = tensor.chunk(cardinality) if tensor.ndim else [tensor] * cardinality
        result |= {f"towers.{index}.{parts[part]}.{leaf}": piece for index, piece in enumerate(pieces)}
    return result


def resnext_to_towers(state: State, cardinality: int) -> dict[str, Tensor]:
    """`ResNeXt`'s weights, Figure 3(c) -> Figure 3(a): 1x1, 3x3 and 1x1 a tower, summed, then `expand.norm`.

    As `resnext_to_concatenated`, and `expand.conv.weight` becomes `towers.<index>.expand.conv.weight`.
    """
    result = resnext_to_concatenated(state, cardinality)
    pieces = result.pop("expand.conv.weight").chunk(cardinality, dim=1)
    return result | {f"towers.{index}.expand.conv.weight": piece for index, piece in enumerate(pieces)}
