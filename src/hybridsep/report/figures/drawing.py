"""Drawing a figure: our style, its title above and its caption below, and a layout that is the same in every run."""

import contextlib
import io
import re
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib import figure as matplotlib_figure

from hybridsep.report.figures.figure import Figure

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "path",
    "text.parse_math": False,  # a title with $ is text
}


@contextlib.contextmanager
def canvas(name: str, **style: Any) -> Iterator[set[str]]:
    """Draw in our style whatever the user's; yields the set of letters that the font turns out to lack.

    The backend of a notebook (MPLBACKEND) is left out of it: files are written by Agg and SVG.
    """
    letters: set[str] = set()
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        settings: dict[Any, Any] = {**STYLE, "svg.hashsalt": name, **style}
        with matplotlib.rc_context(settings):
            yield letters
    for warning in raised:
        if lacking := re.match(r"Glyph (\d+) ", str(warning.message)):
            letters.add(chr(int(lacking[1])))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def draw(figure: Figure[Any], caption: str) -> dict[str, bytes]:
    """Return `{file name: bytes}`: the figure as SVG (equal data give equal bytes) and PNG, drawn on a `canvas`.

    `caption` is printed under it.
    """
    picture, vector, pixels = compose(figure, caption), io.BytesIO(), io.BytesIO()
    picture.savefig(vector, format="svg", metadata={"Date": None, "Creator": None})
    picture.savefig(pixels, format="png", dpi=160)
    return {f"{figure.name}.svg": vector.getvalue(), f"{figure.name}.png": pixels.getvalue()}


def compose(figure: Figure[Any], caption: str) -> matplotlib_figure.Figure:
    """Return the picture with its title above and its caption below, everything in its place."""
    lines = textwrap.wrap(f"{figure.legend} {caption} {figure.note}".strip(), int(17 * figure.width))
    inches = (0.32, figure.height, 0.08 + 0.15 * len(lines))
    picture = matplotlib_figure.Figure(figsize=(figure.width, sum(inches)), layout="constrained")
    head, body, foot = list(np.array(picture.subfigures(3, 1, height_ratios=inches), dtype=object))
    head.text(0.01, 0.5, figure.title, va="center", fontsize=11, fontweight="bold")
    foot.text(0.01, 0.95, "\n".join(lines), va="top", fontsize=7.5, color="#444444", linespacing=1.3)
    figure.draw(body)
    _settle(picture)
    return picture


def _settle(picture: matplotlib_figure.Figure) -> None:
    """Keep the layout, rounded: the solver's last bits are not the same in every run."""
    picture.draw_without_rendering()
    picture.set_layout_engine("none")
    for part in picture.subfigs:
        box = part.bbox_relative
        box.p0, box.p1 = np.round(box.p0, 5), np.round(box.p1, 5)
    for axes in picture.get_axes():
        left, bottom, width, height = (round(value, 5) for value in axes.get_position(original=True).bounds)
        axes.set_position((left, bottom, width, height))
