"""What is said at the end of a command, and its exit status."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from hybridsep.launch.jobs import Job
from hybridsep.runs.record import State
from hybridsep.runs.stop import FAIL_FAST

Say = Callable[[str], None]
_KILLED = "its process ended without a message (killed, or out of memory)"


def conclude(jobs: Sequence[Job], say: Say, *, stopped: str, lost: str = "") -> int:
    """Say which trials failed, diverged or were lost, with where to look, and what one may want to do next.

    `stopped`: the reason of a stop request, "" without one. `lost`: why trials have no end, where that is known.
    Returns the exit status of the command.
    """
    for job in jobs:
        job.look()
    left = [job for job in jobs if job.left]
    if len(jobs) > 1 and not all(job.errors for job in jobs):
        goes_on, why = ("; the same command goes on", f"{stopped}; ") if stopped and left else ("", "")
        say(f"{sum(job.done for job in jobs)} of {len(jobs)} jobs done{goes_on} ({why}a job: some trials of one row)")
    lines = {
        kind.value: {job.label(trial): job.why(trial) for job in jobs for trial in job.that_are(kind)}
        for kind in (State.FAILED, State.DIVERGED)
    }
    if not stopped:
        lines["lost"] = {label: line for job in left for label, line in _lost(job, lost or _KILLED).items()}
    for kind, by_label in lines.items():
        if by_label:
            again = f"; the same command tries {'it' if len(by_label) == 1 else 'them'} again" if kind == "lost" else ""
            say(f"{len(by_label)} {kind}: {', '.join(by_label)}{again}")
            for label, line in by_label.items():
                say(f"  {label}: {line}")
    if any(job.errors for job in jobs):
        return 2
    for study in dict.fromkeys(job.study for job in jobs if job.that_are(State.FINISHED)):
        _say_next(study, say)
    return 75 if stopped and stopped != FAIL_FAST and left else int(any(lines.values()))


def _lost(job: Job, why: str) -> dict[str, str]:
    line = f"{why}, log {job.log}" if job.log else why
    trials = job.that_are(State.INTERRUPTED, State.KILLED)
    return {job.label(trial): line for trial in trials} if job.trials else {f"{job.config.row} (speed)": line}


def _say_next(study: Path, say: Say) -> None:
    results = study.parents[1]
    elsewhere = "" if results == Path("results") else f" {shlex.quote(f'results={results}')}"
    say(f"runs:   {study}")
    say(f"tables: python -m hybridsep.report study={study.name}{elsewhere}")
    say(f"curves: tensorboard --logdir {shlex.quote(str(study))}")
