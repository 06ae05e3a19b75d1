"""Rows as functions: how far the mean predictions of each two are apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from hybridsep.report.comparison import Comparison
from hybridsep.report.figures.figure import MOST_ROWS, Figure, by_row
from hybridsep.report.figures.marks import broken, finish_matrix
from hybridsep.report.runset import RunSet
from hybridsep.report.table import number

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

LIMIT_LINE = {"color": "#555555", "lw": 1.2, "ls": "--"}


@dataclass(frozen=True)
class Pair:
    """Two rows and their distance; of a row and the baseline also its interval."""

    row: str
    label: str
    other_row: str
    distance: float | None
    low: float | None
    high: float | None


def functions(runset: RunSet, comparison: Comparison) -> Figure[Pair]:
    """The distances of all rows from each other as functions, and from the baseline with their intervals."""
    distances = comparison.distances
    pairs: list[Pair] = []
    if distances is not None and len(distances.names) <= MOST_ROWS:
        for row, values in zip(distances.names, distances.matrix, strict=True):
            for other, value in zip(distances.names, values, strict=True):
                result = distances.rows.get(row) if other == distances.baseline else None
                low, high = (result.distance.low, result.distance.high) if result else (None, None)
                pairs.append(Pair(row, runset.label(row), other, None if np.isnan(value) else float(value), low, high))
    intervals = any(pair.low is not None for pair in pairs)
    left = (
        "Left: bar, the interval of the distance over trials; dashed, the limit: an interval that ends below it shows"
        " the same function, unless the test shows another. "
    )
    return Figure(
        f"{runset.table}-functions",
        "Distance of functions: 0 the same, 1 as far as two seeds of the baseline",
        pairs,
        partial(_draw, limit=distances.limit if distances else 0.0),
        f"Over all test images. {left * intervals}Right: the distance of each two rows.",
        width=9.2,
        height=2.2 + 0.35 * len(by_row(pairs)),
    )


def _draw(pairs: Sequence[Pair], body: "SubFigure", *, limit: float) -> None:
    """Left: each row's distance from the baseline as a function, with its interval and the limit. Right: all rows."""
    rows = by_row(pairs)
    left, right = body.subplots(1, 2, width_ratios=(1, 1.1))
    intervals = [
        (pair.label, pair.distance, pair.low, pair.high)
        for pair in pairs
        if pair.distance is not None and pair.low is not None and pair.high is not None
    ]
    places = np.arange(len(intervals))[::-1]
    for place, (_, distance, low, high) in zip(places, intervals, strict=True):
        reach = [[distance - low], [high - distance]]
        left.errorbar(distance, place, xerr=reach, fmt="o", color="black", ms=5, capsize=3.5, lw=1.4)
    left.axvline(0, color="black", lw=0.8)
    if intervals:
        left.axvline(limit, **LIMIT_LINE)
    left.set_yticks(places, [broken(label) for label, *_ in intervals])
    left.set_ylim(-0.6, len(intervals) - 0.4)
    left.set_xlabel("distance from the baseline")
    left.grid(axis="y", visible=False)
    matrix = np.array([np.nan if pair.distance is None else pair.distance for pair in pairs])
    matrix = matrix.reshape(len(rows), len(rows))
    image = right.imshow(matrix, cmap="cividis", interpolation="nearest", vmin=0)
    middle = (np.nanmax(matrix) if len(matrix) else 0) / 2
    for (row, column), value in np.ndenumerate(matrix):
        if row != column and not np.isnan(value) and len(rows) <= 12:
            colour = "black" if value > middle else "white"
            right.text(column, row, number(value, 3), ha="center", va="center", fontsize=6.5, color=colour)
    labels = [broken(lines[0].label) for lines in rows.values()]
    right.set_yticks(range(len(rows)), labels)
    right.set_xticks(range(len(rows)), labels, rotation=45, ha="right")
    right.tick_params(labelsize=8, length=0)
    finish_matrix(body, right, image, "distance")
