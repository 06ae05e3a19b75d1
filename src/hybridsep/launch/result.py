"""How the jobs of a command ended, and what is said about it at the end. Plain data: it crosses processes as JSON."""

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class JobResult:
    """How one job ended.

    `failed`, `diverged`: trial -> where to read why. `lost`: the process ended without a word (killed, out of memory).
    `errors`: lines that say what is to be mended. `study`: the folder, once a trial of it is finished.
    `ends_sweep`: with fail_fast=true, a failure that ends the other jobs too.
    """

    name: str = ""
    stopped: bool = False
    lost: bool = False
    failed: dict[str, str] = field(default_factory=dict)
    diverged: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    log: str = ""
    study: str = ""
    ends_sweep: bool = False

    @property
    def done(self) -> bool:
        return not (self.stopped or self.lost or self.failed or self.diverged or self.errors)


def conclude(ends: Iterable[JobResult], say: Callable[[str], None]) -> int:
    """Say which trials failed, diverged or were lost, each with its log, and what one may want to do next.

    Returns the exit status of the command.
    """
    ends = list(ends)
    for word in ("failed", "diverged"):
        found = {trial: place for end in ends for trial, place in getattr(end, word).items()}
        if found:
            say(f"{len(found)} {word}: {', '.join(found)}")
            for trial, place in found.items():
                say(f"  {trial}: {place}")
    lost = [end for end in ends if end.lost]
    if lost:
        names = ", ".join(end.name for end in lost)
        say(f"{len(lost)} lost: {names}; the same command tries {'it' if len(lost) == 1 else 'them'} again")
        for end in lost:
            say(f"  {end.name}: its process ended without a word (killed, or out of memory), log {end.log}")
    if any(end.errors for end in ends):
        return 2
    for study in dict.fromkeys(end.study for end in ends if end.study):
        _say_next(Path(study), say)
    if any(end.stopped for end in ends) and not any(end.ends_sweep for end in ends):
        return 75
    return 1 if any(end.failed or end.diverged or end.lost for end in ends) else 0


def _say_next(study: Path, say: Callable[[str], None]) -> None:
    results = study.parents[1]
    elsewhere = "" if results == Path("results") else f" {shlex.quote(f'results={results}')}"
    say(f"runs:   {study}")
    say(f"tables: python -m hybridsep.report study={study.name}{elsewhere}")
    say(f"curves: tensorboard --logdir {shlex.quote(str(study))}")
