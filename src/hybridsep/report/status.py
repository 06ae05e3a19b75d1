"""`status`: which runs of a study are there, how long the rest will take, and what one more trial would buy."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hybridsep.config.trials import ranges
from hybridsep.errors import ConfigError, UserError
from hybridsep.report import folders, runset
from hybridsep.report.comparison import samples_of
from hybridsep.report.folders import Problem, Run
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions, Paper
from hybridsep.report.table import MISSING, Column, Table, dash, duration, number, share
from hybridsep.runs import asked, records
from hybridsep.statistics import power

STATES = ("running", "interrupted", "failed", "diverged", "unusable", "missing")


def studies_of(results: Path, name: str) -> list[str]:
    """Return the studies that `study=` names, a folder or `all`. Raises ConfigError that lists what there is."""
    found = folders.studies(results)
    if name == "all" and found:
        return found
    if name in found:
        return [name]
    there = f"there are {', '.join(found)}" if found else f"there is none under {results / 'runs'}"
    raise ConfigError(f"no study '{name}'; {there}")


def look(
    results: Path, study: str, runs: Sequence[Run], problems: Sequence[Problem], paper: Paper, choices: AnalysisOptions
) -> Table:
    """Return `progress` of a study as it stands now. Raises RecordError when what was asked cannot be read."""
    rows, now = asked.read(records.study_folder(results, study)), datetime.datetime.now(datetime.UTC)
    return progress(study, runs, problems, paper, choices, planned=rows, now=now)


def progress(
    study: str,
    runs: Sequence[Run],
    problems: Sequence[Problem],
    paper: Paper,
    choices: AnalysisOptions,
    *,
    planned: asked.Rows,
    now: datetime.datetime,
) -> Table:
    """Return the table of rows and states, with the time that is left at the measured speed.

    `planned`: the rows and trials that were asked for; where there are none, those of the paper's table.
    `now` is compared with the last sign of life of running trials.
    """
    unusable = [problem.folder for problem in problems if problem.folder is not None]
    rows = list(dict.fromkeys([*planned, *(run.row for run in runs), *(folder.parts[-2] for folder in unusable)]))
    rows.sort(key=paper.place)
    lines = [_row(row, runs, unusable, planned.get(row, []) if planned else None, choices, paper, now) for row in rows]
    known = [line["hours"] for line in lines if line["hours"] is not None]
    shown = [state for state in STATES if state == "missing" or any(line["counts"][state] for line in lines)]
    total = {"row": "all", "done": sum(line["done"] for line in lines), "hours": sum(known) if known else None}
    total |= {"planned": sum(line["planned"] for line in lines)}
    total |= {state: _trials(sum(line["counts"][state] for line in lines)) for state in shown}
    notes = [
        "The last line counts trials. Time left: of one process at the speed measured so far;"
        " failed trials are tried again, diverged ones are not."
    ]
    alive = [f"{line['row']} {line['running']}, {line['alive']}" for line in lines if line["alive"]]
    if alive:
        notes.append(f"Last sign of life of what is running: {'; '.join(alive)}.")
    unmeasured = [line["row"] for line in lines if line["hours"] is None]
    if unmeasured:
        notes.append(f"Not measured yet, so not in the sum: {', '.join(unmeasured)}.")
    columns = [
        Column("Row", "row", wide=True),
        Column("Done", ("done", "planned"), share),
        *(Column(state.capitalize(), state, dash) for state in shown),
        Column("Time left", "hours", duration),
    ]
    return Table(name="status", title=f"Study {study}", columns=columns, lines=[*lines, total], fields=[], notes=notes)


def _row(
    row: str,
    runs: Sequence[Run],
    unusable: Sequence[Path],
    planned: list[int] | None,
    choices: AnalysisOptions,
    paper: Paper,
    now: datetime.datetime,
) -> dict[str, Any]:
    own = {run.trial: run for run in runs if run.row == row}
    broken = {_trial(folder) for folder in unusable if folder.parts[-2] == row and _trial(folder) >= 0} - own.keys()
    if choices.trials is not None:
        planned = list(range(choices.trials))
    if planned is None:
        spec = next((table for table in paper.tables.values() if row in table.rows), None)
        planned = list(range(spec.trials if spec else 10))
    wanted = sorted({*planned, *own, *broken})
    states: dict[str, list[int]] = {state: [] for state in STATES}
    done: list[int] = []
    for trial in wanted:
        if trial in own:
            (done if own[trial].status == "finished" else states[own[trial].status]).append(trial)
        else:
            states["unusable" if trial in broken else "missing"].append(trial)
    running = [own[trial].record.updated for trial in states["running"]]
    return {
        "row": row,
        "done": len(done),
        "planned": len(wanted),
        "hours": _hours_left(own, states),
        "alive": _ago(max(running), now) if running else "",
        "counts": {state: len(trials) for state, trials in states.items()},
    } | {state: _named(trials) for state, trials in states.items()}


def _named(trials: list[int]) -> str | None:
    return f"{'trial' if len(trials) == 1 else 'trials'} {ranges(trials)}" if trials else None


def _trials(number: int) -> str | None:
    return None if number == 0 else "1 trial" if number == 1 else f"{number:,} trials"


def _trial(folder: Path) -> int:
    """Return the number of a trial's folder; -1 for a folder that is called otherwise."""
    number = folder.name.removeprefix("trial-")
    return int(number) if number.isascii() and number.isdigit() else -1


def _hours_left(own: dict[int, Run], states: dict[str, list[int]]) -> float | None:
    """Hours for the row's trials that are still to be trained, from the seconds per epoch of those that were."""
    todo = [trial for state in STATES if state != "diverged" for trial in states[state]]
    if not todo:
        return 0.0
    speeds, done = [], {}
    for trial, run in own.items():
        epochs = _epochs_done(run)
        seconds = run.record.timings.seconds
        if epochs and seconds:
            # Side by side, a trial takes longer, and several are done in that time.
            speeds.append(seconds / epochs / run.record.timings.at_once)
            done[trial] = epochs
    if not speeds:
        return None
    epochs = next(iter(own.values())).record.settings.schedule.epochs
    left = sum(max(0, epochs - done.get(trial, 0)) for trial in todo)
    return left * float(np.median(speeds)) / 3600


def _epochs_done(run: Run) -> int:
    if run.status == "finished":
        return run.result.epochs
    try:
        return len(records.read_history(run.folder))
    except UserError:
        return 0


def _ago(updated: str, now: datetime.datetime) -> str:
    try:
        minutes = (now - datetime.datetime.fromisoformat(updated)).total_seconds() / 60
    except (ValueError, TypeError):
        return MISSING
    if minutes < 90:
        return f"{max(0, minutes):.0f} min ago"
    return f"{minutes / 60:.0f} h ago" if minutes < 2880 else f"{minutes / 1440:.0f} days ago"


def one_more_trial(study: str, runs: Sequence[Run], paper: Paper, choices: AnalysisOptions) -> list[Table]:
    """Return, per table of the study, what one more trial of every row would do to intervals and detectable
    differences.
    """
    runsets, _ = runset.split(study, runs, paper, choices)
    return [table for one in runsets if (table := _one_more_trial(one, choices)).lines]


def _one_more_trial(one: RunSet, choices: AnalysisOptions) -> Table:
    baseline = one.errors(one.baseline) if one.baseline in one.rows else {}
    lines = []
    for row in one.variants:
        _, differences = samples_of(one.errors(row), baseline, "paired")
        n = len(differences)
        if not n:
            continue
        seconds = one.seconds(row)
        lines.append(
            {
                "label": one.row(row).label or row,
                "n": n,
                "now": power.half_width(differences, choices.alpha, trials=n),
                "then": power.half_width(differences, choices.alpha, trials=n + 1),
                "detect": power.detectable((differences,), choices.alpha, choices.power),
                "detect_then": power.detectable((differences,), choices.alpha, choices.power, trials=n + 1),
                "hours": None if seconds is None else seconds / 3600,
            }
        )
    columns = [
        Column("Row", "label", wide=True),
        Column("n", "n"),
        Column("Interval ±", "now", number),
        Column("one more: ±", "then", number),
        Column("Detectable", "detect", number),
        Column("one more: detectable", "detect_then", number),
        Column("Hours a trial", "hours", number),
    ]
    return Table(
        name="one-more-trial",
        title=f"What one more trial would buy: {one.spec.title.split(':')[0]} (points, at the spread seen so far)",
        columns=columns,
        lines=lines,
        fields=[],
    )
