"""A small picture of each module of the paper's table: its branches, top to bottom, and how they are joined."""

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Sketch:
    """A module: its branches, each the layers from input to output, what joins them, and what follows."""

    title: str
    branches: tuple[tuple[str, ...], ...]
    join: str = ""
    after: tuple[str, ...] = ()


SKETCHES = {
    "separable": Sketch("Separable", (("3x3 per channel", "1x1"),)),
    "inception": Sketch(
        "Inception", (("1x1",), ("1x1", "3x3"), ("1x1", "3x3", "3x3"), ("average", "1x1")), "concatenate"
    ),
    "resnext": Sketch("ResNeXt", (("1x1", "3x3 in 32 groups", "1x1"), ("identity",)), "add"),
    "reformulated_inception": Sketch(
        "Re-formulated Inception", (("3x3",), ("3x3",), ("3x3",)), "concatenate", ("1x1",)
    ),
    "separable_equivalent": Sketch("Separable equivalent", (("3x3", "1x1"), ("3x3", "1x1"), ("...",)), "add"),
    "hybrid": Sketch("Hybrid", (("1x1", "3x3 per channel", "1x1"),)),
}
# These begin with one layer for all branches, where the others end with one.
_FIRST = {"reformulated_inception"}
_STEP, _BOX, _GAP = 30, 20, 6


def svg(row: str) -> str:
    """Return the sketch of a row's module as SVG; empty for a row that has none."""
    sketch = SKETCHES.get(row)
    if sketch is None:
        return ""
    first, after = (sketch.after, ()) if row in _FIRST else ((), sketch.after)
    longest = max(map(len, sketch.branches))
    wide = max(len(layer) for branch in (*sketch.branches, first, after) for layer in branch) * 6.6 + 12
    width = max(len(sketch.branches) * (wide + _GAP) - _GAP, 90)
    parts: list[str] = []
    top = 16
    for layer in first:
        parts += _box(0, top, width, layer)
        top += _STEP
    each = (width - _GAP * (len(sketch.branches) - 1)) / len(sketch.branches)
    for index, branch in enumerate(sketch.branches):
        left = index * (each + _GAP)
        middle = left + each / 2
        parts.append(f'<path d="M{middle:.1f} {top - 10}V{top + longest * _STEP}" stroke="#555"/>')
        for place, layer in enumerate(branch):
            parts += _box(left, top + place * _STEP, each, layer)
    top += longest * _STEP
    for layer in (*((sketch.join,) if sketch.join else ()), *after):
        parts += _box(0, top, width, layer, join=layer == sketch.join)
        top += _STEP
    return (
        f'<svg viewBox="-1 0 {width + 2:.0f} {top:.0f}" width="{width + 2:.0f}" height="{top:.0f}" role="img"'
        f' aria-label="{escape(sketch.title)}">{"".join(parts)}</svg>'
    )


def _box(left: float, top: float, width: float, layer: str, *, join: bool = False) -> list[str]:
    fill = "#fff3d6" if join else "#e8f1fa"
    return [
        f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BOX}" rx="3" fill="{fill}" stroke="#555"/>',
        f'<text x="{left + width / 2:.1f}" y="{top + 14}" text-anchor="middle" font-size="11">{escape(layer)}</text>',
    ]
