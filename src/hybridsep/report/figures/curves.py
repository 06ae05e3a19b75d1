"""Learning curves: the test error of each row over epochs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hybridsep.errors import RecordError, UserError
from hybridsep.report.figures.figure import Figure, by_row, left_out, shown_rows
from hybridsep.report.figures.marks import COLOURS, DASHES, MARKERS
from hybridsep.report.folders import Problem
from hybridsep.report.runset import RunSet
from hybridsep.runs import records

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

MOST_CURVES = 100  # trials a row; each is a file to read


@dataclass(frozen=True)
class Point:
    """A row's test error after an epoch, in percent of all test images: over its first `n` trials."""

    row: str
    label: str
    n: int
    epoch: int
    mean: float
    least: float
    greatest: float


def learning_curves(runset: RunSet) -> tuple[Figure[Point], list[Problem]]:
    """Mean, least and greatest test error over a row's first trials at each epoch, in percent of all test images."""
    points: list[Point] = []
    problems: list[Problem] = []
    for row in shown_rows(runset):
        curves = []
        for run in list(runset.runs[row].values())[:MOST_CURVES]:
            try:
                frame = records.read_history(run.folder)
                curve = frame["test_error"].to_numpy(dtype=float)
                complete = frame["epoch"].tolist() == list(range(1, run.result.epochs + 1))
                if not complete or not np.isfinite(curve).all():
                    raise RecordError(f"{run.folder}: history.csv does not have one number for each epoch from 1 on")
                curves.append(curve)
            except (UserError, ValueError, TypeError) as error:
                message = str(error) if isinstance(error, UserError) else f"{run.folder}: history.csv: {error}"
                problems.append(Problem(runset.study, run.folder, f"{message}; it is left out of the learning curves"))
        if curves:
            stacked = np.array(curves)
            label = runset.label(row)
            points += [
                Point(row, label, len(stacked), epoch, float(at.mean()), float(at.min()), float(at.max()))
                for epoch, at in enumerate(stacked.T, 1)
            ]
    band = any(point.n > 1 for point in points)
    title = "Learning curves: test error on all test images"
    title += ", band from the least to the greatest trial" * band
    many = any(len(runset.runs[row]) > MOST_CURVES for row in shown_rows(runset))
    note = f"First {MOST_CURVES} trials of each row. " if many else ""
    legend = "Line: mean over trials; band: from the least to the greatest." if band else "Line: one trial."
    figure = Figure(f"{runset.table}-curves", title, points, _draw, legend, height=4.1, note=note + left_out(runset))
    return figure, problems


def _draw(points: Sequence[Point], body: "SubFigure") -> None:
    """Test error over epochs; lines differ in dashes and markers as well as colour."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes = body.subplots()
    for place, entries in enumerate(by_row(points).values()):
        epochs = [entry.epoch for entry in entries]
        colour = COLOURS[place % len(COLOURS)]
        band = ([entry.least for entry in entries], [entry.greatest for entry in entries])
        axes.fill_between(epochs, *band, color=colour, alpha=0.12, lw=0)
        axes.plot(
            epochs,
            [entry.mean for entry in entries],
            color=colour,
            dashes=DASHES[place % len(DASHES)],
            marker=MARKERS[place % len(MARKERS)],
            markevery=(place % 5 * max(1, len(epochs) // 25), max(1, len(epochs) // 5)),
            ms=5,
            lw=1.5,
            label=f"{entries[0].label} (n = {entries[0].n})",
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel("test error (%)")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 5, 7)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper right", fontsize=8)
