"""The report of everybody's trials: from a table of errors to the tables, figures and page that studies get."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from hybridsep.report import conclusion, distances, figure_data, tables
from hybridsep.report.comparison import Comparison, compare
from hybridsep.report.document import Document, Section
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import Table
from hybridsep.report.trials_file import GivenTrials, runset_of


@dataclass(frozen=True, eq=False)
class Compared:
    """What a table of trials shows: `table` with a line a row, sentences in `says`, all numbers in `comparison`."""

    table: pd.DataFrame
    says: list[str]
    comparison: Comparison


_SHOWN = (
    "row n error_mean error_sd pairs mean low high mean_absolute absolute_mean p p_holm test least equivalence_p"
    " equivalence_p_holm equivalent floor_low floor_high beyond_noise many_low many_high many_p many_better many_same"
    " many_worse detectable"
).split()


def compare_frame(
    frame: pd.DataFrame,
    choices: AnalysisOptions,
    *,
    baseline: str | None,
    unit: str,
    higher_is_better: bool,
    folder: Path = Path("."),
) -> Compared:
    """Compare the rows of a table of trials with its baseline. Raises DataError for a table that cannot be used."""
    one = runset_of(
        frame, name="trials", baseline=baseline, unit=unit, higher_is_better=higher_is_better, folder=folder
    )
    found = compare(one, choices)
    lines = pd.DataFrame([{key: entry.get(key) for key in _SHOWN} for entry in found.rows])
    return Compared(lines, conclusion.sentences(one, found, choices), found)


def document(one: GivenTrials, choices: AnalysisOptions, made_with: Mapping[str, object]) -> Document:
    """Return the report of a table of trials."""
    found = compare(one, choices)
    unit = one.spec.unit
    main = [tables.differences(one, found, choices)]
    if any(entry.get("many_p") is not None for entry in found.rows):
        main.append(tables.many(one, found, choices))
    functions = distances.tables(one, found.distances, choices) if found.distances else []
    main += functions[:1]
    details = [*functions[1:], tables.intervals(one, found, choices), tables.noise(one, found, choices)]
    details.append(_every_trial(one, found))
    figures = [figure_data.differences(one, found), figure_data.functions(one, found)]
    figures.append(figure_data.single_trials(one, found))
    better = "higher" if one.spec.higher_is_better else "lower"
    kept = f"{len(one.finished)} trials of {len(one.rows)} rows; unit {unit}, {better} is better."
    pairing = "paired by trial" if choices.pairing == "paired" else "unpaired"
    section = Section(
        title=one.spec.title,
        heading=[f"{one.study}: {kept} Baseline {one.baseline}, {pairing}."],
        warning=None,
        main=[_in_unit(table, unit) for table in main],
        details=[_in_unit(table, unit) for table in details],
        figures=[figure for figure in figures if figure.lines],
        conclusion=conclusion.sentences(one, found, choices),
        rows=[],
        caption=f"{one.study}: {kept}",
        sketches=[],
    )
    return Document(one.study, [section], None, [], {**asdict(choices), **made_with})


def _every_trial(one: GivenTrials, found: Comparison) -> Table:
    """Every trial, with the other columns of the table in the CSV."""
    table = tables.trials(one, found)
    further = [one.further[str(entry["row"])][int(entry["trial"])] for entry in found.trials]
    columns = [str(column) for column in (further[0] if further else {})]
    fields = ["row", "trial", "error", "difference"]
    data: list[dict[str, Any]] = [
        {key: entry[key] for key in fields} | {str(key): value for key, value in more.items()}
        for entry, more in zip(found.trials, further, strict=True)
    ]
    shown = [column for column in table.columns if column.heading in ("Row", "Trial", "Error %", "Difference")]
    return replace(table, columns=shown, data=data, fields=fields + columns, notes=[])


def _in_unit(table: Table, unit: str) -> Table:
    """Name the table's own unit where the tables of a study speak of points of test error."""
    if unit == "%":
        return table
    columns = [replace(column, heading=column.heading.replace("Error %", f"Value, {unit}")) for column in table.columns]
    notes = [note.replace(" points", f" {unit}") for note in table.notes]
    title = table.title.replace(" (test error, percentage points)", f" ({unit})")
    return replace(table, columns=columns, notes=notes, title=title)
