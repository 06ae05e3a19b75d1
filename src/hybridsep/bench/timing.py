"""Workloads timed in turn, in rounds, so that a machine that slows down slows all of them."""

import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from hybridsep.runs.stop import Stopped

MAX_STEPS = 4096  # in one block
Key = TypeVar("Key")


class Workload:
    """What is timed in blocks: `ready()`, then `run(steps)`, which calls `step()` so often, then `end()`.

    `work` is what one step does, in the unit of the rates: images, bytes or operations. `first_steps` is how many
    steps the first block has to do together, because they leave something that belongs to their thread.
    """

    work: float
    first_steps = 1
    shares: Sequence[float] = ()  # of each timed block, the part that went into making batches, where it is counted

    def ready(self) -> None:
        """Make all ready for a block."""

    def step(self) -> None:
        """Do one step."""
        raise NotImplementedError

    def run(self, steps: int) -> None:
        """Do so many steps; this is what is timed."""
        for _ in range(steps):
            self.step()

    def end(self) -> None:
        """Give back what `ready` took."""


class Repeated(Workload):
    """The same call again and again."""

    def __init__(self, call: Callable[[], object], work: float):
        self._call, self.work = call, work

    def step(self) -> None:
        self._call()


@dataclass(frozen=True)
class Timed:
    """Work per second of a workload in each round, in blocks of `steps`."""

    rates: list[float]
    steps: int


def time_in_rounds(
    workloads: Mapping[Key, Workload],
    device: torch.device,
    *,
    seconds: float,
    rounds: int,
    stop: Callable[[], bool] = lambda: False,
) -> dict[Key, Timed]:
    """Time one block of each workload, of about `seconds`, in each of `rounds`.

    A first block and a calibration come before, untimed. Every round starts with another workload. Raises Stopped when
    `stop()` says so before a block.
    """

    def timed(workload: Workload, steps: int) -> float:
        if stop():
            raise Stopped("before the last round")
        return time_block(workload, steps, device)

    steps: dict[Key, int] = {}
    for key, workload in workloads.items():
        timed(workload, workload.first_steps)
        steps[key] = steps_lasting(functools.partial(timed, workload), seconds)
    rates: dict[Key, list[float]] = {key: [] for key in workloads}
    order = list(workloads.items())
    for _ in range(rounds):
        for key, workload in order:
            rates[key].append(steps[key] * workload.work / timed(workload, steps[key]))
        order.append(order.pop(0))
    return {key: Timed(rates[key], steps[key]) for key in workloads}


def time_block(workload: Workload, steps: int, device: torch.device) -> float:
    """Return the seconds of one block, with all that it started on the device."""
    try:
        workload.ready()
        synchronise(device)
        begun = time.perf_counter()
        workload.run(steps)
        synchronise(device)
        return time.perf_counter() - begun
    finally:
        workload.end()


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def steps_lasting(measure: Callable[[int], float], seconds: float) -> int:
    """Return how many steps fill a block of so many seconds, from 1 to MAX_STEPS; `measure(steps)` times a block."""
    steps = 1
    # The faster of two: one that another program held up would make every block too short.
    while (taken := min(measure(steps) for _ in range(2))) < seconds / 4:
        if steps >= MAX_STEPS:
            break
        steps *= 2
    return min(MAX_STEPS, max(1, round(steps * seconds / taken)))


@dataclass(frozen=True)
class Spread:
    """Median, interquartile range (linear interpolation) and number of some values."""

    median: float
    iqr: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of the values, of which there is at least one."""
    low, high = np.percentile(values, [25, 75])
    return Spread(statistics.median(values), float(high - low), len(values))


def ratios(rates: Sequence[float], base: Sequence[float]) -> list[float]:
    """Return rate / base round by round: both were measured within a round, when the machine was equally busy."""
    return [rate / reference for rate, reference in zip(rates, base, strict=True)]
