"""A table that repeats another one of its study under a condition, side by side with it."""

from hybridsep.report import verdicts
from hybridsep.report.comparison import Comparison, RowResult
from hybridsep.report.heading import images
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions, RowSpec
from hybridsep.report.table import (
    Column,
    Place,
    Table,
    build,
    count,
    csv_only,
    estimate_column,
    percent,
)

# A row with the one that repeats it, or with ABSENT.
_Pair = tuple[RowResult, RowResult]
ABSENT = RowResult("", RowSpec(title="", label=""), n=0, mean_absolute=None)


def side_by_side(
    first: tuple[RunSet, Comparison], second: tuple[RunSet, Comparison], options: AnalysisOptions
) -> Table:
    """Two tables of one study, line by line: as in the paper, and under the condition of the table that repeats it."""
    (runset, comparison), (repeated, other) = first, second
    there = {row.row: row for row in other.rows}
    lines = [(row, there.get(repeated.spec.row_for(row.row) or "", ABSENT)) for row in comparison.rows]
    label: list[Column[_Pair]] = [Column("Row", lambda pair: pair[0].label, wide=True)]
    condition = repeated.spec.condition
    how = "trial by trial" if options.pairing == "paired" else "unpaired"
    disagree = (
        "Of an undecided row: how probable better, the same and worse are, from all test images and one spread pooled"
        f" over the rows (Dunnett's), of each row alone. It may disagree with p Holm, of {images(runset)}, {how}."
    )
    original = _side("Difference", options, parameters_in="both")
    repetition = _side(condition.capitalize(), options, parameters_in="files", mark=" (2)", note=disagree)
    return build(
        f"{repeated.table}-beside",
        f"{runset.short_title} as in the paper, and {condition}",
        [
            *label,
            *(column.on(lambda pair: pair[0]) for column in original),
            *(column.on(lambda pair: pair[1], prefix="other_") for column in repetition),
        ],
        lines,
        notes=[
            "Difference in test error from the baseline, points; both sides against the same row, trial by trial."
            f" Shows: same within ±{options.margin:g} points (two one-sided tests), different (p Holm below"
            f" {options.alpha:g}), or undecided. (2): {condition}."
        ],
        terminal=True,
    )


def _side(
    name: str, options: AnalysisOptions, *, parameters_in: Place, mark: str = "", note: str = ""
) -> list[Column[RowResult]]:
    columns: list[Column[RowResult]] = [
        csv_only("row", lambda row: row.row),
        csv_only("n", lambda row: row.n if row.row else None),
        Column(
            f"Parameters{mark}", lambda row: row.cost.params, count, csv="params", instead=_absent, place=parameters_in
        ),
        Column(f"n{mark}", lambda row: row.n, instead=_absent, place="files"),
        estimate_column(
            f"{name} [{percent(options.alpha)}]",
            lambda row: row.difference.interval,
            instead=lambda row: "" if row.is_baseline else _absent(row),
        ),
        csv_only("mean_absolute", lambda row: row.mean_absolute),
        Column(f"Shows{mark}", lambda row: _probably(row, options.alpha), csv="shows", place="files", note=note),
        Column(f"Shows{mark}", lambda row: _shown(row, options.alpha), place="terminal"),
    ]
    return columns


def _absent(row: RowResult) -> str | None:
    return None if row.row else ""


def _shown(row: RowResult, alpha: float) -> str:
    if row.is_baseline or row.difference.interval.mean is None:
        return ""
    return verdicts.shows(row.difference, alpha)


def _probably(row: RowResult, alpha: float) -> str:
    """Say what a row shows; of an undecided one, how probable better, the same and worse are."""
    shows = _shown(row, alpha)
    return f"{shows} {verdicts.probabilities(row.many)}".strip() if shows == verdicts.UNCLEAR else shows
