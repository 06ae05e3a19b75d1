"""How the trials of a row share the cores of a CPU: how many at once, each with how many threads."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from hybridsep.errors import RecordError
from hybridsep.runs import records
from hybridsep.runs.record import State

# Multiply-adds of a step's forward pass below which a second thread costs more than it brings.
SMALL_STEP = 2_000_000_000


@dataclass(frozen=True)
class Cores:
    """`trials_at_once` trials with `threads` threads each, and lines worth saying about that."""

    trials_at_once: int
    threads: int
    notes: tuple[str, ...] = ()


def share(
    cores: int, waiting: int, *, step_macs: int, threads: int | None, at_once: int | None, earlier: int | None
) -> Cores:
    """Return how `waiting` trials share `cores`, given what the user said of `threads` and `at_once`.

    Where nothing was said, trials of a small network have one thread each and as many run at once as there are cores,
    and one of a large network has all cores. `earlier`: threads of the row's trials so far, which are kept where
    possible, because another number changes bits. The load of the machine plays no part.
    """
    small, chosen = step_macs < SMALL_STEP, threads is not None or at_once is not None
    at_once = None if at_once is None else max(1, min(at_once, waiting))
    if threads is None:
        kept = earlier if earlier is not None and earlier <= cores else None
        threads = kept or (1 if small else max(1, cores // (at_once or 1)))
    if at_once is None:
        at_once = max(1, min(waiting, cores // threads)) if small and not chosen else 1
    if cores == 1 or chosen:
        return Cores(at_once, threads)
    why = "as before" if earlier == threads else "the network is small" if small else "the network is large"
    trials, each = f"{at_once} trial{'s'[: at_once > 1]} at once", f"{threads} thread{'s'[: threads > 1]} each"
    return Cores(
        at_once, threads, (f"{cores} cores: {trials}, {each} ({why}); threads= and trials_at_once= change it",)
    )


def other_threads(study: Path, threads: int) -> list[str]:
    """Return a line when finished trials of a study's folder were trained on a CPU with other numbers of threads."""
    numbers = set()
    for folder in study.glob("*/trial-*"):
        # What is wrong with a neighbour is the report's to say.
        with contextlib.suppress(RecordError):
            record = records.load(folder)
            if record.status == State.FINISHED and record.machine.device == "cpu":
                numbers.add(record.machine.threads)
    others = sorted(filter(None, numbers - {threads}))
    if not others:
        return []
    return [
        f"threads: {threads}, but finished trials of study {study.name} had {' and '.join(map(str, others))}: sums are"
        f" ordered otherwise, so the bits can differ; threads={others[0]} goes on as they did"
    ]
