"""`status`: which runs of a study are there, how long the rest will take, and what one more trial would buy."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridsep.config.trials import ranges
from hybridsep.errors import UserError
from hybridsep.report import runset
from hybridsep.report.comparison import samples_of
from hybridsep.report.folders import Problem, Run
from hybridsep.report.runset import RunSet, by_state, expected_trials
from hybridsep.report.settings import TRIALS, AnalysisOptions, Paper
from hybridsep.report.table import MISSING, Column, Table, build, dash, duration, number, share
from hybridsep.runs import asked, records
from hybridsep.runs.record import State
from hybridsep.statistics import power

# All but finished ones; the time left is of those but diverged ones, which are not trained again.
UNFINISHED = (State.RUNNING, State.INTERRUPTED, State.FAILED, State.DIVERGED, State.UNUSABLE, State.MISSING)
TO_TRAIN = tuple(state for state in UNFINISHED if state != State.DIVERGED)


@dataclass(frozen=True)
class Progress:
    """How far a study is: its table, and whether a trial is still to be trained, which diverged ones are not."""

    table: Table
    unfinished: bool


@dataclass(frozen=True)
class _Line:
    """A row's trials by state as text, with the hours that are left; the last line counts those of all rows."""

    row: str
    done: int
    expected: int
    hours: float | None
    states: dict[State, str | None]
    counts: dict[State, int]
    alive: str = ""


def look(
    results: Path, study: str, runs: Sequence[Run], problems: Sequence[Problem], paper: Paper, options: AnalysisOptions
) -> Progress:
    """Return `progress` of a study as it stands now. Raises RecordError when what was asked cannot be read."""
    rows, now = asked.read(records.study_folder(results, study)), datetime.datetime.now(datetime.UTC)
    return progress(study, runs, problems, paper, options, rows_asked=rows, now=now)


def progress(
    study: str,
    runs: Sequence[Run],
    problems: Sequence[Problem],
    paper: Paper,
    options: AnalysisOptions,
    *,
    rows_asked: asked.Rows,
    now: datetime.datetime,
) -> Progress:
    """Return the table of rows and states, with the time that is left at the measured speed.

    `rows_asked`: the rows and trials that were asked for; where there are none, those of the paper's table.
    `now` is compared with the last sign of life of running trials.
    """
    unusable = [problem.folder for problem in problems if problem.folder is not None]
    rows = list(dict.fromkeys([*rows_asked, *(run.row for run in runs), *(folder.parts[-2] for folder in unusable)]))
    rows.sort(key=paper.place)
    of_table = {row: spec.trials for spec in reversed(paper.tables.values()) for row in spec.rows}
    expected = {
        row: expected_trials(row, rows_asked, options, of_table=of_table.get(row, TRIALS), begun=True) for row in rows
    }
    lines = [_row(row, runs, unusable, expected[row], now) for row in rows]
    hours = [line.hours for line in lines if line.hours is not None]
    counts = {state: sum(line.counts[state] for line in lines) for state in UNFINISHED}
    total = _Line(
        row="all",
        done=sum(line.done for line in lines),
        expected=sum(line.expected for line in lines),
        hours=sum(hours) if hours else None,
        states={state: _trials(count) for state, count in counts.items()},
        counts=counts,
    )
    notes = [
        "The last line counts trials. Time left: of one process at the speed measured so far;"
        " failed trials are tried again, diverged ones are not."
    ]
    alive = [f"{line.row} {line.states[State.RUNNING]}, {line.alive}" for line in lines if line.alive]
    if alive:
        notes.append(f"Last sign of life of what is running: {'; '.join(alive)}.")
    unmeasured = [line.row for line in lines if line.hours is None]
    if unmeasured:
        notes.append(f"Not measured yet, so not in the sum: {', '.join(unmeasured)}.")
    ends: list[Column[_Line]] = [
        Column("Row", lambda line: line.row, wide=True),
        Column("Done", lambda line: share(line.done, line.expected)),
        Column("Time left", lambda line: line.hours, duration),
    ]
    states = [_state(state) for state in UNFINISHED if state == State.MISSING or counts[state]]
    table = build("status", f"Study {study}", [*ends[:2], *states, ends[2]], [*lines, total], notes=notes)
    return Progress(table, any(counts[state] for state in TO_TRAIN))


def _state(state: State) -> Column[_Line]:
    return Column[_Line](state.capitalize(), lambda line: line.states[state], dash)


def _row(
    row: str, runs: Sequence[Run], unusable: Sequence[Path], expected: Sequence[int], now: datetime.datetime
) -> _Line:
    by_trial = {run.trial: run for run in runs if run.row == row}
    broken = {_trial(folder) for folder in unusable if folder.parts[-2] == row} - {-1}
    trials = sorted({*expected, *by_trial, *broken})
    states = by_state(trials, by_trial.values(), broken)
    running = [by_trial[trial].record.updated for trial in states[State.RUNNING]]
    return _Line(
        row=row,
        done=len(states[State.FINISHED]),
        expected=len(trials),
        hours=_hours_left(by_trial, [trial for state in TO_TRAIN for trial in states[state]]),
        states={state: _named(states[state]) for state in UNFINISHED},
        counts={state: len(states[state]) for state in UNFINISHED},
        alive=_ago(max(running), now) if running else "",
    )


def _named(trials: list[int]) -> str | None:
    return f"{'trial' if len(trials) == 1 else 'trials'} {ranges(trials)}" if trials else None


def _trials(number: int) -> str | None:
    return None if number == 0 else "1 trial" if number == 1 else f"{number:,} trials"


def _trial(folder: Path) -> int:
    """Return the number of a trial's folder; -1 for a folder that is called otherwise."""
    number = folder.name.removeprefix("trial-")
    return int(number) if number.isascii() and number.isdigit() else -1


def _hours_left(by_trial: dict[int, Run], todo: Sequence[int]) -> float | None:
    """Hours for the row's trials that are still to be trained, from the seconds per epoch of those that were."""
    if not todo:
        return 0.0
    speeds, done = [], {}
    for trial, run in by_trial.items():
        epochs = _epochs_done(run)
        seconds = run.record.timings.seconds
        if epochs and seconds:
            # Side by side, a trial takes longer, and several are done in that time.
            speeds.append(seconds / epochs / run.record.timings.at_once)
            done[trial] = epochs
    if not speeds:
        return None
    epochs = next(iter(by_trial.values())).record.settings.schedule.epochs
    left = sum(max(0, epochs - done.get(trial, 0)) for trial in todo)
    return left * float(np.median(speeds)) / 3600


def _epochs_done(run: Run) -> int:
    if run.status == State.FINISHED:
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


def one_more_trial(study: str, runs: Sequence[Run], paper: Paper, options: AnalysisOptions) -> list[Table]:
    """Return, per table of the study, what one more trial of every row would do to intervals and detectable
    differences.
    """
    runsets, _ = runset.split(study, runs, paper, options)
    return [table for one in runsets if (table := _one_more_trial(one, options)).lines]


def _one_more_trial(one: RunSet, options: AnalysisOptions) -> Table:
    baseline = one.errors(one.baseline) if one.baseline in one.rows else {}

    def half_width(differences: np.ndarray, trials: int) -> float | None:
        return power.half_width(differences, options.alpha, trials=trials)

    def detectable(differences: np.ndarray, trials: int) -> float | None:
        return power.detectable((differences,), options.alpha, options.power, trials=trials)

    def hours(row: str) -> float | None:
        seconds = one.seconds(row)
        return None if seconds is None else seconds / 3600

    lines = []
    for row in one.variants:
        _, differences = samples_of(one.errors(row), baseline, "paired")
        if len(differences):
            lines.append((row, differences))
    columns: list[Column[tuple[str, np.ndarray]]] = [
        Column("Row", lambda line: one.label(line[0]), wide=True),
        Column("n", lambda line: len(line[1])),
        Column("Interval ±", lambda line: half_width(line[1], len(line[1])), number),
        Column("one more: ±", lambda line: half_width(line[1], len(line[1]) + 1), number),
        Column("Detectable", lambda line: detectable(line[1], len(line[1])), number),
        Column("one more: detectable", lambda line: detectable(line[1], len(line[1]) + 1), number),
        Column("Hours a trial", lambda line: hours(line[0]), number),
    ]
    title = f"What one more trial would buy: {one.short_title} (points, at the spread seen so far)"
    return build("one-more-trial", title, columns, lines)
