"""Test error against parameters, multiply-accumulates and training speed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybridsep.report.comparison import Comparison
from hybridsep.report.figures.figure import Figure, left_out, shown_rows
from hybridsep.report.figures.marks import COLOURS, MARKERS
from hybridsep.report.runset import RunSet
from hybridsep.report.table import count

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure


@dataclass(frozen=True)
class Mark:
    """A row: its mean test error with the standard deviation over trials, and what it costs."""

    row: str
    label: str
    n: int
    error_mean: float | None
    error_sd: float | None
    params: int | None
    macs: int | None
    images_per_second: float | None


def costs(runset: RunSet, comparison: Comparison) -> Figure[Mark]:
    """Test error against parameters, multiply-accumulates and training speed."""
    rows_shown = shown_rows(runset)
    marks = [
        Mark(
            row.row,
            row.label,
            row.n,
            row.error_mean,
            row.error_sd,
            row.cost.params,
            row.cost.macs,
            row.images_per_second,
        )
        for row in comparison.rows
        if row.row in rows_shown
    ]
    bars = any(mark.error_sd is not None for mark in marks)
    legend = (
        f"Mark: mean over trials{'; bar: their standard deviation' * bars}. Speed is that of these trainings, beside"
        " whatever else ran then: no comparison of rows."
    )
    return Figure(
        f"{runset.table}-cost",
        "Test error against cost",
        marks,
        _draw,
        legend,
        width=9.2,
        height=3.6,
        note=left_out(runset),
        errors=True,
    )


def _draw(marks: Sequence[Mark], body: "SubFigure") -> None:
    """Mean test error with its standard deviation against parameters, MACs and training speed."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    panels = body.subplots(1, 3, sharey=True)
    costs: dict[str, list[int | None] | list[float | None]] = {
        "parameters": [mark.params for mark in marks],
        "MACs per image": [mark.macs for mark in marks],
        "training images/s": [mark.images_per_second for mark in marks],
    }
    for axes, (name, values) in zip(panels, costs.items(), strict=True):
        for place, (mark, value) in enumerate(zip(marks, values, strict=True)):
            if value is None or mark.error_mean is None:
                continue
            axes.errorbar(
                value,
                mark.error_mean,
                yerr=mark.error_sd,
                fmt=MARKERS[place % len(MARKERS)],
                color=COLOURS[place % len(COLOURS)],
                ms=8,
                capsize=2.5,
                lw=1,
                label=mark.label,
            )
        axes.set_xlabel(name)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
        axes.margins(x=0.15)
    panels[0].set_ylabel("test error (%)")
    body.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8.5)
