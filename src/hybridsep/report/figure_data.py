"""The numbers behind every figure, computed before anything is drawn and written beside it as CSV."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybridsep.errors import RecordError, UserError
from hybridsep.report.agreement import disagreement_matrix
from hybridsep.report.compare import Comparison
from hybridsep.report.folders import Problem
from hybridsep.report.sample import Sample
from hybridsep.runs import records

# What a picture can show; the tables have the rest.
MOST_ROWS = 24
MOST_RUNS = 90
MOST_CURVES = 100  # trials a row; each is a file to read


@dataclass(frozen=True)
class FigureData:
    """One figure's numbers: `lines` with their `fields` (the CSV), and `note` for what the picture leaves out."""

    name: str
    title: str
    fields: list[str]
    lines: list[dict[str, Any]]
    note: str = ""


def build(sample: Sample, comparison: Comparison) -> tuple[list[FigureData], list[Problem]]:
    """Return the data of the sample's figures, and the histories that could not be read."""
    curves, problems = learning_curves(sample)
    figures = [differences(sample, comparison), single_trials(sample, comparison), curves]
    figures += [disagreements(sample), costs(sample, comparison)]
    return [figure for figure in figures if figure.lines], problems


def _shown(sample: Sample) -> list[str]:
    return [row for row in sample.rows if sample.runs[row]][:MOST_ROWS]


def _left_out(sample: Sample) -> str:
    with_runs = sum(bool(sample.runs[row]) for row in sample.rows)
    return f"First {MOST_ROWS} of {with_runs} rows; the tables have all." if with_runs > MOST_ROWS else ""


def differences(sample: Sample, comparison: Comparison) -> FigureData:
    """Mean |d| beside the paper's number, the signed difference with its interval, the noise floor with its band."""
    shown = _shown(sample)
    floor = comparison.floor
    fields = "row label n paper mean_absolute mean low high error_mean error_sd is_baseline".split()
    lines = [{key: entry[key] for key in fields} for entry in comparison.rows if entry["row"] in shown]
    floor_line = dict.fromkeys(fields) | {
        "row": "noise_floor",
        "label": "Noise floor",
        "n": floor["n"],
        "mean_absolute": floor["mean"],
        "low": floor["low"],
        "high": floor["high"],
        "is_baseline": False,
    }
    name = f"{sample.table}-differences"
    return FigureData(name, f"{sample.spec.title}", fields, [*lines, floor_line], _left_out(sample))


def single_trials(sample: Sample, comparison: Comparison) -> FigureData:
    """The test error and the difference of every trial."""
    shown = set(_shown(sample))
    lines = [entry for entry in comparison.trials if entry["row"] in shown]
    fields = "row label trial error difference".split()
    return FigureData(f"{sample.table}-trials", "Every trial", fields, lines, _left_out(sample))


def learning_curves(sample: Sample) -> tuple[FigureData, list[Problem]]:
    """Mean, least and greatest test error over a row's first trials at each epoch, in percent of all test images."""
    lines: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for row in _shown(sample):
        curves = []
        for run in list(sample.runs[row].values())[:MOST_CURVES]:
            try:
                frame = records.read_history(run.folder)
                curve = frame["test_error"].to_numpy(dtype=float)
                complete = frame["epoch"].tolist() == list(range(1, run.record["result"]["epochs"] + 1))
                if not complete or not np.isfinite(curve).all():
                    raise RecordError(f"{run.folder}: history.csv does not have one number for each epoch from 1 on")
                curves.append(curve)
            except (UserError, ValueError, TypeError) as error:
                message = str(error) if isinstance(error, UserError) else f"{run.folder}: history.csv: {error}"
                problems.append(Problem(sample.study, run.folder, f"{message}; it is left out of the learning curves"))
        if curves:
            stacked = np.array(curves)
            label = sample.row(row).label or row
            lines += [
                {"row": row, "label": label, "n": len(stacked), "epoch": epoch + 1}
                | {"mean": float(at.mean()), "least": float(at.min()), "greatest": float(at.max())}
                for epoch, at in enumerate(stacked.T)
            ]
    fields = "row label n epoch mean least greatest".split()
    title = "Learning curves: test error on all test images, band from the least to the greatest trial"
    many = any(len(sample.runs[row]) > MOST_CURVES for row in _shown(sample))
    note = f"First {MOST_CURVES} trials of each row. " if many else ""
    return FigureData(f"{sample.table}-curves", title, fields, lines, note + _left_out(sample)), problems


def disagreements(sample: Sample) -> FigureData:
    """Share of test images on which two runs differ, for all pairs of runs of the table."""
    shown = _shown(sample)
    each = max(1, MOST_RUNS // max(1, len(shown)))
    runs = [run for row in shown for run in list(sample.runs[row].values())[:each]]
    if len(runs) < 2:
        return FigureData(f"{sample.table}-disagreement", "", [], [])
    matrix = disagreement_matrix([run.predicted for run in runs])
    lines = [
        {
            "first_row": runs[i].row,
            "first_label": sample.row(runs[i].row).label or runs[i].row,
            "first_trial": runs[i].trial,
            "second_row": runs[j].row,
            "second_trial": runs[j].trial,
            "percent": float(matrix[i, j]),
        }
        for i in range(len(runs))
        for j in range(len(runs))
    ]
    most = max(len(sample.runs[row]) for row in shown)
    note = f"First {each} trials of each row." if most > each else ""
    title = "Share of test images on which two runs predict different classes (%)"
    return FigureData(f"{sample.table}-disagreement", title, list(lines[0]), lines, note or _left_out(sample))


def costs(sample: Sample, comparison: Comparison) -> FigureData:
    """Test error against parameters, multiply-accumulates and training speed."""
    shown = _shown(sample)
    fields = "row label n error_mean error_sd params macs images_per_second".split()
    lines = [{key: entry[key] for key in fields} for entry in comparison.rows if entry["row"] in shown]
    return FigureData(f"{sample.table}-cost", "Test error against cost", fields, lines, _left_out(sample))


def by_row(lines: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Group lines by their row, in order."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault(line["row"], []).append(line)
    return groups
