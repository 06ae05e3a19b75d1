"""Mean |d| beside the paper's number, the signed difference of every trial, and the noise floor."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from hybridsep.report.comparison import Comparison
from hybridsep.report.figures.figure import PICTURE_ONLY, Figure, left_out, shown_rows
from hybridsep.report.runset import RunSet

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

OUR_COLOUR, PAPER_COLOUR, FLOOR_COLOUR = "#E69F00", "#0072B2", "#BBBBBB"
FLOOR_LINE = {"color": "#555555", "lw": 1.2, "ls": "--"}
_LEGEND = "Dashed: the mean difference between two trials of the baseline itself."


@dataclass(frozen=True)
class Bar:
    """A row, or the noise floor. `trials` are the differences of its trials; as numbers they stand with `trials`."""

    row: str
    label: str
    n: int | None
    paper: float | None
    mean_absolute: float | None
    mean: float | None
    low: float | None
    high: float | None
    error_mean: float | None
    error_sd: float | None
    is_baseline: bool
    trials: Sequence[float] = field(default=(), metadata=PICTURE_ONLY)


def differences(runset: RunSet, comparison: Comparison) -> Figure[Bar]:
    """Mean |d| beside the paper's number, the signed difference with its interval, the noise floor with its band."""
    rows_shown = shown_rows(runset)
    floor, spec = comparison.floor, runset.spec
    trials: dict[str, list[float]] = {}
    for trial in comparison.trials:
        if trial.difference is not None:
            trials.setdefault(trial.row, []).append(trial.difference)
    bars = [
        Bar(
            row=row.row,
            label=row.label,
            n=row.n,
            paper=row.spec.paper,
            mean_absolute=row.mean_absolute,
            mean=row.difference.interval.mean,
            low=row.difference.interval.low,
            high=row.difference.interval.high,
            error_mean=row.error_mean,
            error_sd=row.error_sd,
            is_baseline=row.is_baseline,
            trials=trials.get(row.row, []),
        )
        for row in comparison.rows
        if row.row in rows_shown
    ]
    of_floor = Bar(
        "noise_floor", "Noise floor", floor.n, None, floor.mean, None, floor.low, floor.high, None, None, False
    )
    compared = any(not bar.is_baseline for bar in bars)
    return Figure(
        f"{runset.table}-differences",
        f"Difference from the baseline{spec.condition and ' ' + spec.condition}"
        f"{', and the noise floor' * (floor.mean is not None)}",
        [*bars, of_floor] if compared else [],
        partial(
            _draw,
            band=not comparison.too_few,
            unit="points" if spec.unit == "%" else spec.unit,
            directions="worse \u2190 \u2192 better" if spec.higher_is_better else "better \u2190 \u2192 worse",
        ),
        _LEGEND if floor.mean is not None else "",
        height=max(2.9, 1.5 + 0.52 * max(1, len(bars) - 1)),
        note=left_out(runset),
        errors=True,
    )


def _draw(bars: Sequence[Bar], body: "SubFigure", *, band: bool, unit: str, directions: str) -> None:
    """Left: mean |d|, the paper's beside ours, over the noise floor. Right: every trial, and their mean's interval."""
    *rows, floor = [bar for bar in bars if not bar.is_baseline]
    places = np.arange(len(rows))[::-1]
    left, right = body.subplots(1, 2, sharey=True)
    if floor.mean_absolute is not None:
        if band:
            left.axvspan(floor.low, floor.high, color=FLOOR_COLOUR, alpha=0.45, lw=0, label="noise floor, range")
        left.axvline(floor.mean_absolute, **FLOOR_LINE, label="noise floor, mean")
    ours = [bar.mean_absolute if bar.mean_absolute is not None else np.nan for bar in rows]
    left.barh(places + 0.18, ours, 0.34, color=OUR_COLOUR, edgecolor="black", lw=0.6, label="ours, mean |d|")
    if any(_difference_of_paper(bar, bars) is not None for bar in rows):
        paper = [np.nan if (value := _difference_of_paper(bar, bars)) is None else value for bar in rows]
        left.barh(
            places - 0.18, paper, 0.34, color="white", edgecolor=PAPER_COLOUR, lw=0.8, hatch="////", label="paper"
        )
    left.set_yticks(places, [f"{bar.label}\nn = {bar.n}" for bar in rows])
    left.set_xlabel(f"mean |difference| ({unit})")
    left.set_xlim(left=0)
    left.set_ylim(-0.6, len(rows) - 0.4)
    right.axvline(0, color="black", lw=0.8)
    if floor.mean_absolute is not None:
        for side in (-1, 1):
            right.axvline(side * floor.mean_absolute, **FLOOR_LINE)
    style = {"s": 22, "color": OUR_COLOUR, "edgecolors": "black", "linewidths": 0.4, "zorder": 2}
    points = [(value, place - 0.2) for place, bar in zip(places, rows, strict=True) for value in bar.trials]
    if points:
        right.scatter(*zip(*points, strict=True), **style, label="one trial")
    drawn = None
    for place, bar in zip(places, rows, strict=True):
        if bar.mean is None:
            continue
        reach = [[0], [0]] if bar.low is None or bar.high is None else [[bar.mean - bar.low], [bar.high - bar.mean]]
        mark = {"fmt": "o", "color": "black", "ms": 5, "capsize": 3.5, "lw": 1.4, "zorder": 3}
        drawn = right.errorbar(bar.mean, place + 0.1, xerr=reach, **mark)
    if drawn:
        drawn.set_label(
            "mean over trials, interval" if any(bar.low is not None for bar in rows) else "mean over trials"
        )
    # In two lines: the layout gives room to a label's height, not to its width.
    right.set_xlabel(f"signed difference ({unit})\n{directions}")
    handles = [axes.get_legend_handles_labels() for axes in (left, right)]
    body.legend(*map(list.__add__, *handles), loc="outside lower center", ncols=3, fontsize=8)
    right.grid(axis="y", visible=False)
    left.grid(axis="y", visible=False)


def _difference_of_paper(bar: Bar, bars: Sequence[Bar]) -> float | None:
    """The paper's number as a difference: as it is, or, where the paper gives test errors, from its baseline's."""
    baseline = next((each.paper for each in bars if each.is_baseline), None)
    return bar.paper if bar.paper is None or baseline is None else abs(bar.paper - baseline)
