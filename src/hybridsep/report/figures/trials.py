"""The test error of every trial."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridsep.report.comparison import Comparison
from hybridsep.report.figures.figure import Figure, by_row, left_out, shown_rows
from hybridsep.report.figures.marks import COLOURS, MARKERS, broken, tilt
from hybridsep.report.runset import RunSet

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

MOST_JOINED = 40  # trials with a line between their marks


@dataclass(frozen=True)
class Trial:
    """A trial: its test error in percent, and its difference from the baseline's in points."""

    row: str
    label: str
    trial: int
    error: float
    difference: float | None


def trials(runset: RunSet, comparison: Comparison) -> Figure[Trial]:
    """The test error and the difference of every trial."""
    rows_shown = set(shown_rows(runset))
    lines = [
        Trial(each.row, each.label, each.trial, each.error, each.difference)
        for each in comparison.trials
        if each.row in rows_shown
    ]
    spec = runset.spec
    paired = {line.trial for line in lines if line.difference is not None}
    joined = paired if runset.first.record.settings.paired and len(paired) <= MOST_JOINED else set()
    return Figure(
        f"{runset.table}-trials",
        "Every trial",
        lines,
        partial(_draw, joined=joined, value="test error (%)" if spec.is_error else f"value ({spec.unit})"),
        f"A mark is a trial, a black bar the mean of its row{'; grey lines join trials of one number' * bool(joined)}.",
        note=left_out(runset),
        errors=True,
    )


def _draw(lines: Sequence[Trial], body: "SubFigure", *, joined: set[int], value: str) -> None:
    """Test error of every trial, a thin line joining those of a number in `joined`, the mean of each row."""
    rows = by_row(lines)
    axes = body.subplots()
    by_trial: dict[int, list[tuple[int, float]]] = {}
    for place, entries in enumerate(rows.values()):
        for entry in entries:
            if entry.trial in joined:
                by_trial.setdefault(entry.trial, []).append((place, entry.error))
    for points in by_trial.values():
        axes.plot(*zip(*points, strict=True), color="#BBBBBB", lw=0.7, zorder=1)
    for place, entries in enumerate(rows.values()):
        errors = [entry.error for entry in entries]
        style: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        axes.scatter(
            [place] * len(errors), errors, s=30, alpha=0.85, linewidths=0.4, edgecolors="white", zorder=2, **style
        )
        axes.hlines(np.mean(errors), place - 0.28, place + 0.28, color="black", lw=2, zorder=3)
    axes.set_xticks(range(len(rows)), [broken(entries[0].label) for entries in rows.values()])
    axes.set_xlim(-0.6, len(rows) - 0.4)
    tilt(axes, len(rows))
    axes.set_ylabel(value)
    axes.grid(axis="x", visible=False)
