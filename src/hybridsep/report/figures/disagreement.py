"""On how many test images each two runs differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hybridsep.report.figures.figure import Figure, left_out, shown_rows
from hybridsep.report.figures.marks import broken, finish_matrix
from hybridsep.report.runset import RunSet
from hybridsep.statistics.agreement import disagreement_matrix

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

MOST_RUNS = 90


@dataclass(frozen=True)
class Pair:
    """Two runs, and on how many percent of the test images they predict different classes."""

    first_row: str
    first_label: str
    first_trial: int
    second_row: str
    second_trial: int
    percent: float


def disagreements(runset: RunSet) -> Figure[Pair]:
    """Share of test images on which two runs differ, for all pairs of runs of the table."""
    rows_shown = shown_rows(runset)
    each = max(1, MOST_RUNS // max(1, len(rows_shown)))
    runs = [run for row in rows_shown for run in list(runset.runs[row].values())[:each]]
    pairs: list[Pair] = []
    if len(runs) > 1 and not runset.own_images:
        matrix = disagreement_matrix([run.predicted for run in runs])
        pairs = [
            Pair(first.row, runset.label(first.row), first.trial, second.row, second.trial, float(value))
            for first, values in zip(runs, matrix, strict=True)
            for second, value in zip(runs, values, strict=True)
        ]
    more = any(len(runset.runs[row]) > each for row in rows_shown)
    return Figure(
        f"{runset.table}-disagreement",
        "Share of all test images on which two runs predict different classes (%)",
        pairs,
        _draw,
        "A square is a pair of runs, trials in order within each row; grey: a run and itself.",
        width=7.4,
        height=6.2,
        note=f"First {each} trials of each row." if more else left_out(runset),
    )


def _draw(pairs: Sequence[Pair], body: "SubFigure") -> None:
    """Matrix of all runs; rows of the table are parted by lines, trials follow each other within them."""
    import matplotlib

    keys = list(dict.fromkeys((pair.first_row, pair.first_trial) for pair in pairs))
    labels = {pair.first_row: pair.first_label for pair in pairs}
    matrix = np.array([pair.percent for pair in pairs]).reshape(len(keys), len(keys))
    masked = np.ma.masked_where(np.eye(len(keys), dtype=bool), matrix)
    axes = body.subplots()
    # Lightness alone carries the value, so the picture survives grey.
    shades = matplotlib.colormaps["cividis"].with_extremes(bad="#DDDDDD")
    image = axes.imshow(masked, cmap=shades, interpolation="nearest")
    rows = list(dict.fromkeys(row for row, _ in keys))
    sizes = [sum(key[0] == row for key in keys) for row in rows]
    ends = np.cumsum(sizes)
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="white", lw=1.2)
        axes.axvline(end - 0.5, color="white", lw=1.2)
    middles = ends - np.array(sizes) / 2 - 0.5
    axes.set_yticks(middles, [broken(labels[row]) for row in rows])
    axes.set_xticks(middles, [broken(labels[row]) for row in rows], rotation=45, ha="right")
    axes.tick_params(labelsize=8.5, length=0)
    finish_matrix(body, axes, image, "images predicted differently (%)")
