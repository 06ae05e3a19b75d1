"""The numbers behind every figure, computed before anything is drawn and written beside it as CSV."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybridsep.errors import RecordError, UserError
from hybridsep.report.comparison import Comparison
from hybridsep.report.folders import Problem
from hybridsep.report.runset import RunSet
from hybridsep.runs import records
from hybridsep.statistics.agreement import disagreement_matrix

# What a picture can show; the tables have the rest.
MOST_ROWS = 24
MOST_RUNS = 90
MOST_CURVES = 100  # trials a row; each is a file to read


@dataclass(frozen=True)
class FigureData:
    """One figure's numbers: `lines` with their `fields` (the CSV), and `note` for what the picture leaves out.

    `band`: there are trials enough to draw the range of the noise. `joined`: trials of one number are pairs. `value`
    names what was measured, `unit` that of its differences.
    """

    name: str
    title: str
    fields: list[str]
    lines: list[dict[str, Any]]
    note: str = ""
    band: bool = True
    joined: bool = True
    value: str = "test error (%)"
    unit: str = "points"
    higher_is_better: bool = False


def build(runset: RunSet, comparison: Comparison) -> tuple[list[FigureData], list[Problem]]:
    """Return the data of the runset's figures, and the histories that could not be read."""
    curves, problems = learning_curves(runset)
    figures = [
        differences(runset, comparison),
        functions(runset, comparison),
        single_trials(runset, comparison),
        curves,
    ]
    figures += [disagreements(runset), costs(runset, comparison)]
    return [figure for figure in figures if figure.lines], problems


def _shown(runset: RunSet) -> list[str]:
    return [row for row in runset.rows if runset.runs[row]][:MOST_ROWS]


def _left_out(runset: RunSet) -> str:
    with_runs = sum(bool(runset.runs[row]) for row in runset.rows)
    return f"First {MOST_ROWS} of {with_runs} rows; the tables have all." if with_runs > MOST_ROWS else ""


def differences(runset: RunSet, comparison: Comparison) -> FigureData:
    """Mean |d| beside the paper's number, the signed difference with its interval, the noise floor with its band.

    `single` holds the difference of each trial, for the picture; as numbers they stand with `single_trials`.
    """
    shown = _shown(runset)
    floor = comparison.floor
    fields = "row label n paper mean_absolute mean low high error_mean error_sd is_baseline".split()
    trials: dict[str, list[float]] = {}
    for trial in comparison.trials:
        if trial.difference is not None:
            trials.setdefault(trial.row, []).append(trial.difference)
    lines: list[dict[str, Any]] = [
        {
            "row": row.row,
            "label": row.label,
            "n": row.n,
            "paper": row.spec.paper,
            "mean_absolute": row.mean_absolute,
            "mean": row.difference.interval.mean,
            "low": row.difference.interval.low,
            "high": row.difference.interval.high,
            "error_mean": row.error_mean,
            "error_sd": row.error_sd,
            "is_baseline": row.is_baseline,
            "single": trials.get(row.row, []),
        }
        for row in comparison.rows
        if row.row in shown
    ]
    floor_line = dict.fromkeys(fields) | {
        "row": "noise_floor",
        "label": "Noise floor",
        "n": floor.n,
        "mean_absolute": floor.mean,
        "low": floor.low,
        "high": floor.high,
        "is_baseline": False,
    }
    name = f"{runset.table}-differences"
    if not any(row.row in shown and not row.is_baseline for row in comparison.rows):
        return FigureData(name, "", fields, [])
    return FigureData(
        name,
        f"Difference from the baseline{runset.spec.condition and ' ' + runset.spec.condition}, and the noise floor",
        fields,
        [*lines, floor_line],
        _left_out(runset),
        band=not comparison.too_few,
        unit="points" if runset.spec.unit == "%" else runset.spec.unit,
        higher_is_better=runset.spec.higher_is_better,
    )


def single_trials(runset: RunSet, comparison: Comparison) -> FigureData:
    """The test error and the difference of every trial."""
    shown = set(_shown(runset))
    fields = "row label trial error difference".split()
    lines = [{key: getattr(trial, key) for key in fields} for trial in comparison.trials if trial.row in shown]
    joined, spec = runset.first.record.settings.paired, runset.spec
    error = spec.unit == "%" and not spec.higher_is_better
    value = "test error (%)" if error else f"value ({spec.unit})"
    name = f"{runset.table}-trials"
    return FigureData(name, "Every trial", fields, lines, _left_out(runset), joined=joined, value=value)


def learning_curves(runset: RunSet) -> tuple[FigureData, list[Problem]]:
    """Mean, least and greatest test error over a row's first trials at each epoch, in percent of all test images."""
    lines: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for row in _shown(runset):
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
            lines += [
                {"row": row, "label": label, "n": len(stacked), "epoch": epoch + 1}
                | {"mean": float(at.mean()), "least": float(at.min()), "greatest": float(at.max())}
                for epoch, at in enumerate(stacked.T)
            ]
    fields = "row label n epoch mean least greatest".split()
    title = "Learning curves: test error on all test images, band from the least to the greatest trial"
    many = any(len(runset.runs[row]) > MOST_CURVES for row in _shown(runset))
    note = f"First {MOST_CURVES} trials of each row. " if many else ""
    return FigureData(f"{runset.table}-curves", title, fields, lines, note + _left_out(runset)), problems


def disagreements(runset: RunSet) -> FigureData:
    """Share of test images on which two runs differ, for all pairs of runs of the table."""
    shown = _shown(runset)
    each = max(1, MOST_RUNS // max(1, len(shown)))
    runs = [run for row in shown for run in list(runset.runs[row].values())[:each]]
    if len(runs) < 2 or runset.own_images:
        return FigureData(f"{runset.table}-disagreement", "", [], [])
    matrix = disagreement_matrix([run.predicted for run in runs])
    lines = [
        {
            "first_row": runs[i].row,
            "first_label": runset.row(runs[i].row).label or runs[i].row,
            "first_trial": runs[i].trial,
            "second_row": runs[j].row,
            "second_trial": runs[j].trial,
            "percent": float(matrix[i, j]),
        }
        for i in range(len(runs))
        for j in range(len(runs))
    ]
    most = max(len(runset.runs[row]) for row in shown)
    note = f"First {each} trials of each row." if most > each else ""
    title = "Share of test images on which two runs predict different classes (%)"
    return FigureData(f"{runset.table}-disagreement", title, list(lines[0]), lines, note or _left_out(runset))


def functions(runset: RunSet, comparison: Comparison) -> FigureData:
    """The distances of all rows from each other as functions, and from the baseline with their intervals."""
    distances = comparison.distances
    title = "Distance of functions: 0 the same, 1 as far as two seeds of the baseline"
    name = f"{runset.table}-functions"
    if distances is None or len(distances.names) > MOST_ROWS:
        return FigureData(name, title, [], [])
    lines = [
        {
            "row": row,
            "label": runset.label(row),
            "other_row": other,
            "distance": None if np.isnan(value) else float(value),
            "low": own.distance.low if own else None,
            "high": own.distance.high if own else None,
        }
        for row, values in zip(distances.names, distances.matrix, strict=True)
        for other, value in zip(distances.names, values, strict=True)
        for own in [distances.rows.get(row) if other == distances.baseline else None]
    ]
    return FigureData(name, title, list(lines[0]), lines)


def costs(runset: RunSet, comparison: Comparison) -> FigureData:
    """Test error against parameters, multiply-accumulates and training speed."""
    shown = _shown(runset)
    fields = "row label n error_mean error_sd params macs images_per_second".split()
    lines = [
        {
            "row": row.row,
            "label": row.label,
            "n": row.n,
            "error_mean": row.error_mean,
            "error_sd": row.error_sd,
            "params": row.cost.params,
            "macs": row.cost.macs,
            "images_per_second": row.images_per_second,
        }
        for row in comparison.rows
        if row.row in shown
    ]
    return FigureData(f"{runset.table}-cost", "Test error against cost", fields, lines, _left_out(runset))


def by_row(lines: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Group lines by their row, in order."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault(line["row"], []).append(line)
    return groups
