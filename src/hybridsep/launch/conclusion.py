"""What is said at the end of a command, and its exit status."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from hybridsep.launch.jobs import End, Job
from hybridsep.runs.stop import FAIL_FAST

Say = Callable[[str], None]
_KILLED = "its process ended without a word (killed, or out of memory)"


def conclude(jobs: Sequence[Job], say: Say, *, sweep: bool, stopped: str, lost: str = "") -> int:
    """Say which trials failed, diverged or were lost, with where to look, and what one may want to do next.

    `sweep`: also how many jobs are done. `stopped`: the reason of a stop request, "" without one. `lost`: why trials
    have no end, where that is known. Returns the exit status of the command.
    """
    ended = [(job, job.ends()) for job in jobs]
    left = [job for job, ends in ended if _is_left(job, ends)]
    if sweep and not all(job.errors for job in jobs):
        goes_on, why = ("; the same command goes on", f"{stopped}; ") if stopped and left else ("", "")
        done = sum(job.done(ends) for job, ends in ended)
        say(f"{done} of {len(jobs)} jobs done{goes_on} ({why}a job: some trials of one row)")
    status = 0
    for end in (End.FAILED, End.DIVERGED):
        lines = {job.label(trial): job.why(trial) for job, ends in ended for trial in ends if ends[trial] is end}
        if lines:
            _list(f"{len(lines)} {end.value}", lines, "", say)
            status = 1
    if left and not stopped:
        lines = dict(line for job, ends in ended if job in left for line in _lost(job, ends, lost or _KILLED))
        _list(f"{len(lines)} lost", lines, f"; the same command tries {'it' if len(lines) == 1 else 'them'} again", say)
        status = 1
    if any(job.errors for job in jobs):
        return 2
    for study in dict.fromkeys(job.study for job, ends in ended if End.FINISHED in ends.values()):
        _say_next(study, say)
    return 75 if stopped and stopped != FAIL_FAST and left else status


def _is_left(job: Job, ends: dict[int, End]) -> bool:
    """Return whether something of a job has no end, though nothing was wrong with it."""
    if job.errors:
        return False
    return not {End.INTERRUPTED, End.KILLED}.isdisjoint(ends.values()) if ends else not job.measured


def _lost(job: Job, ends: dict[int, End], why: str) -> list[tuple[str, str]]:
    line = f"{why}{f', log {job.log}' if job.log else ''}"
    trials = [trial for trial, end in ends.items() if end in (End.INTERRUPTED, End.KILLED)]
    return [(job.label(trial), line) for trial in trials] if ends else [(f"{job.config.row} (speed)", line)]


def _list(what: str, lines: dict[str, str], more: str, say: Say) -> None:
    say(f"{what}: {', '.join(lines)}{more}")
    for label, line in lines.items():
        say(f"  {label}: {line}")


def _say_next(study: Path, say: Say) -> None:
    results = study.parents[1]
    elsewhere = "" if results == Path("results") else f" {shlex.quote(f'results={results}')}"
    say(f"runs:   {study}")
    say(f"tables: python -m hybridsep.report study={study.name}{elsewhere}")
    say(f"curves: tensorboard --logdir {shlex.quote(str(study))}")
