"""A small picture of a module as it was configured: its branches, top to bottom, and what joins them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any


@dataclass(frozen=True)
class Sketch:
    """A module: the layers before its branches, each branch from input to output, what joins them."""

    title: str
    branches: tuple[tuple[str, ...], ...]
    join: str = ""
    before: tuple[str, ...] = ()


_ACTIVATIONS = {"relu": "ReLU", "elu": "ELU"}
_MOST_BRANCHES = 6  # that are drawn; of more, the first three and how many there are
_STEP, _BOX, _GAP = 30, 20, 6


def of_module(module: Mapping[str, Any]) -> Sketch | None:
    """Return the sketch of a module's configuration; None for a module that is not of this project."""
    name = str(module.get("_target_", "")).rpartition(".")[2]
    build = _SKETCHES.get(name)
    return build(module) if build else None


def _separable(module: Mapping[str, Any]) -> Sketch:
    between = _ACTIVATIONS.get(str(module.get("intermediate_activation")))
    title = f"Separable, {between} in between" if between else "Separable"
    return Sketch(title, (("3x3 per channel", *([between] if between else []), "1x1"),))


def _hybrid(module: Mapping[str, Any]) -> Sketch:
    lead = ["1x1"] if module.get("leading_pointwise", True) else []
    lead += ["BatchNorm, ReLU"] if module.get("leading_norm_act") else []
    branch = (*lead, "3x3 per channel", "1x1")
    if module.get("identity"):
        return Sketch("Hybrid with identity", (branch, ("identity",)), "add")
    return Sketch("Hybrid with BatchNorm, ReLU" if module.get("leading_norm_act") else "Hybrid", (branch,))


def _resnext(module: Mapping[str, Any]) -> Sketch:
    groups = str(module.get("cardinality", "")).replace("<=", "up to ")
    return Sketch("ResNeXt", (("1x1", f"3x3 in {groups} groups", "1x1"), ("identity",)), "add")


def _reformulated(module: Mapping[str, Any]) -> Sketch:
    segments = module.get("segments")
    branches: tuple[tuple[str, ...], ...] = (("3x3",),) * min(segments if isinstance(segments, int) else 3, 3)
    if isinstance(segments, int) and segments <= _MOST_BRANCHES:
        branches = (("3x3",),) * segments
    elif segments != 3:
        branches = (*branches, (f"... {segments} segments",))
    norm = ("BatchNorm, ReLU",) if module.get("norm_act") else ()
    return Sketch("Re-formulated Inception", branches, "concatenate", before=("1x1", *norm))


_INCEPTION = Sketch("Inception", (("1x1",), ("1x1", "3x3"), ("1x1", "3x3", "3x3"), ("average", "1x1")), "concatenate")
_EQUIVALENT = Sketch("Separable equivalent", (("3x3", "1x1"), ("3x3", "1x1"), ("... per channel",)), "add")
_SKETCHES = {
    "Separable": _separable,
    "Inception": lambda module: _INCEPTION,
    "ResNeXt": _resnext,
    "ReformulatedInception": _reformulated,
    "SeparableEquivalent": lambda module: _EQUIVALENT,
    "Hybrid": _hybrid,
    "Dense": lambda module: Sketch("Dense", (("3x3",),)),
}


def svg(sketch: Sketch) -> str:
    """Return a sketch as SVG; its colours are the page's (classes box, join and line of page.css)."""
    branches = sketch.branches
    longest = max(map(len, branches))
    wide = [_width(branch) for branch in branches]
    width = max(sum(wide) + _GAP * (len(wide) - 1), _width((*sketch.before, sketch.join)), 90)
    spare = (width - sum(wide) - _GAP * (len(wide) - 1)) / len(wide)
    wide = [one + spare for one in wide]
    lefts = [sum(wide[:place]) + _GAP * place for place in range(len(wide))]
    middles = [left + one / 2 for left, one in zip(lefts, wide, strict=True)]
    parts, top = [], 14
    for layer in sketch.before:
        parts += [_line(width / 2, top - 10, top), *_box(0, top, width, layer)]
        top += _STEP
    # One input for all branches, and one output of them.
    fork, foot = top - 6, top + longest * _STEP - 4
    parts.append(_line(width / 2, top - 12 if not sketch.before else top - 10, fork))
    parts += [f'<path class="line" d="M{middles[0]:.1f} {y}H{middles[-1]:.1f}"/>' for y in (fork, foot)]
    for branch, left, one, middle in zip(branches, lefts, wide, middles, strict=True):
        parts.append(_line(middle, fork, foot))
        for place, layer in enumerate(branch):
            parts += _box(left, top + place * _STEP, one, layer)
    top = foot + 6
    if sketch.join:
        parts += [_line(width / 2, top - 10, top), *_box(0, top, width, sketch.join, join=True)]
        top += _STEP
    parts.append(_line(width / 2, top - 10, top + 4))
    return (
        f'<svg viewBox="-1 0 {width + 2:.0f} {top + 5:.0f}" width="{width + 2:.0f}" height="{top + 5:.0f}" role="img"'
        f' aria-label="{escape(sketch.title)}">{"".join(parts)}</svg>'
    )


def _width(layers: Iterable[str]) -> float:
    return max(map(len, layers)) * 6.6 + 12


def _line(x: float, top: float, foot: float) -> str:
    return f'<path class="line" d="M{x:.1f} {top:.0f}V{foot:.0f}"/>'


def _box(left: float, top: float, width: float, layer: str, *, join: bool = False) -> list[str]:
    middle = f'x="{left + width / 2:.1f}" y="{top + 14:.0f}"'
    return [
        f'<rect class="{"join" if join else "box"}" x="{left:.1f}" y="{top:.0f}" width="{width:.1f}"'
        f' height="{_BOX}" rx="3"/>',
        f'<text {middle} text-anchor="middle" font-size="11">{escape(layer)}</text>',
    ]
