"""The report of everybody's trials: from a table of errors to the tables, figures and page that studies get."""

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from hybridsep.report import conclusion, distances, figures, tables, trial_tables
from hybridsep.report.comparison import Comparison, TrialResult, compare
from hybridsep.report.document import Document, Section
from hybridsep.report.settings import AnalysisOptions, TableSpec
from hybridsep.report.table import Column, Table, build, csv_only, named
from hybridsep.report.trials_file import TrialsRunSet, runset_of

# What the public table has of the fields that the tables of a study write: those that need nothing but errors.
_FIELDS = (
    *("row", "n", "error_mean", "error_sd", "pairs", "mean", "low", "high", "mean_absolute", "absolute_mean"),
    *("p", "p_holm", "test", "least", "equivalence_p", "equivalence_p_holm", "equivalent"),
    *("floor_low", "floor_high", "beyond_noise"),
    *("many_low", "many_high", "many_p", "many_better", "many_same", "many_worse", "detectable"),
)
# And those of the table of distances, where there are predictions.
_DISTANCE_FIELDS = {
    "distance": "distance",
    **{f"distance_{name}": name for name in ("error", "low", "high", "p", "p_holm", "shows")},
}


@dataclass(frozen=True, eq=False)
class TrialsComparison:
    """What a table of trials shows: `table` with a line a row, sentences in `says`, all numbers in `comparison`."""

    table: pd.DataFrame
    says: list[str]
    comparison: Comparison


def compare_frame(
    frame: pd.DataFrame,
    options: AnalysisOptions,
    *,
    baseline: str | None,
    unit: str,
    higher_is_better: bool,
    folder: Path = Path("."),
) -> TrialsComparison:
    """Compare the rows of a table of trials with its baseline. Raises DataError for a table that cannot be used."""
    one = runset_of(
        frame,
        name="trials",
        baseline=baseline,
        margin=options.margin,
        unit=unit,
        higher_is_better=higher_is_better,
        folder=folder,
    )
    comparison = compare(one, options)
    table = tables.frame(one, comparison, options)[list(_FIELDS)]
    if comparison.distances:
        columns = distances.columns_of(options)
        by_row = {row: named(columns, line) for row, line in comparison.distances.rows.items()}
        for name, field in _DISTANCE_FIELDS.items():
            table[name] = [by_row[row][field] if row in by_row else None for row in table["row"]]
    return TrialsComparison(table, conclusion.sentences(one, comparison, options), comparison)


def document(one: TrialsRunSet, options: AnalysisOptions, made_with: Mapping[str, object]) -> Document:
    """Return the report of a table of trials."""
    comparison = compare(one, options)
    unit = one.spec.unit
    details = [
        *distances.matrix(one, comparison.distances),
        tables.intervals(one, comparison, options),
        trial_tables.noise(one, comparison, options),
        _every_trial(one, comparison),
    ]
    better = "higher" if one.spec.higher_is_better else "lower"
    kept = f"{len(one.finished)} trials of {len(one.rows)} rows; unit {unit}, {better} is better."
    pairing = "paired by trial" if options.pairing == "paired" else "unpaired"
    section = Section(
        title=one.spec.title,
        heading=[f"{one.study}: {kept} Baseline {one.baseline}, {pairing}."],
        warning=None,
        main=[_in_unit(table, one.spec) for table in tables.against_baseline(one, comparison, options)],
        details=[_in_unit(table, one.spec) for table in details],
        figures=figures.of_comparison(one, comparison),
        conclusion=conclusion.sentences(one, comparison, options),
        rows=[],
        caption=f"{one.study}: {kept}",
        sketches=[],
    )
    return Document(one.study, [section], None, [], {**asdict(options), **made_with, "baseline": one.baseline})


def _every_trial(one: TrialsRunSet, comparison: Comparison) -> Table:
    """Every trial, with the other columns of the table in the CSV."""

    def further(name: Hashable) -> Column[TrialResult]:
        column: Column[TrialResult] = csv_only(str(name), lambda trial: one.further[trial.row][trial.trial][name])
        return column

    columns = [*trial_tables.trial_columns(one), trial_tables.difference_column(one), *map(further, one.columns)]
    return build(f"{one.table}-trials", f"{one.short_title}: every trial", columns, comparison.trials)


def _in_unit(table: Table, spec: TableSpec) -> Table:
    """Name the table's own unit where the tables of a study speak of points of test error."""
    points = "points" if spec.unit == "%" else spec.unit
    value = "Error %" if spec.is_error else f"Value, {spec.unit}"
    columns = [
        replace(
            column,
            heading=column.heading.replace("Error %", value),
            note=column.note.replace(" points", f" {points}"),
        )
        for column in table.columns
    ]
    notes = [note.replace(" points", f" {points}") for note in table.notes]
    title = table.title.replace(" (percentage points)", f" ({points})")
    return replace(table, columns=columns, notes=notes, title=title)
