"""The report of everybody's trials: from a table of errors to the tables, figures and page that studies get."""

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from hybridsep.report import conclusion, distances, figures, tables, trial_tables
from hybridsep.report.comparison import Comparison, RowResult, TrialResult, compare
from hybridsep.report.document import Document, Section
from hybridsep.report.settings import AnalysisOptions, TableSpec
from hybridsep.report.table import Column, Table, build, csv_only
from hybridsep.report.trials_file import GivenTrials, runset_of


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
    lines = pd.DataFrame([_line(row) for row in comparison.rows])
    return TrialsComparison(lines, conclusion.sentences(one, comparison, options), comparison)


def _line(row: RowResult) -> dict[str, object]:
    """A row of the public table; its keys are what callers know."""
    change, many = row.difference, row.many
    return {
        "row": row.row,
        "n": row.n,
        "error_mean": row.error_mean,
        "error_sd": row.error_sd,
        "pairs": change.pairs,
        "mean": change.interval.mean,
        "low": change.interval.low,
        "high": change.interval.high,
        "mean_absolute": row.mean_absolute,
        "absolute_mean": change.absolute.absolute_mean if change.absolute else None,
        "p": change.p,
        "p_holm": change.p_holm,
        "test": change.test,
        "least": change.permutation.least,
        "equivalence_p": change.equivalence.p,
        "equivalence_p_holm": change.equivalence_holm.p,
        "equivalent": change.equivalence_holm.equivalent,
        "floor_low": row.floor.low if row.floor else None,
        "floor_high": row.floor.high if row.floor else None,
        "beyond_noise": row.beyond_noise,
        **{f"many_{key}": getattr(many, key, None) for key in ("low", "high", "p", "better", "same", "worse")},
        "detectable": change.detectable,
    }


def document(one: GivenTrials, options: AnalysisOptions, made_with: Mapping[str, object]) -> Document:
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


def _every_trial(one: GivenTrials, comparison: Comparison) -> Table:
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
    columns = [replace(column, heading=column.heading.replace("Error %", value)) for column in table.columns]
    notes = [note.replace(" points", f" {points}") for note in table.notes]
    title = table.title.replace(" (test error, percentage points)", f" ({points})")
    return replace(table, columns=columns, notes=notes, title=title)
