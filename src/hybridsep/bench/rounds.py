"""Sides of a comparison, timed in turn, so that a machine that slows down slows all of them."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from hybridsep.bench.timing import seconds_of, steps_lasting


class Side(Protocol):
    """What is timed: `block(steps)` makes all ready and returns the call that does so many steps; `end()` comes after.

    `work` is what one step does, in the unit of the rates: images, or bytes.
    """

    work: float

    def block(self, steps: int) -> Callable[[], None]: ...
    def end(self) -> None: ...


def time_block(side: Side, steps: int, device: torch.device) -> float:
    """Return the seconds of one block."""
    run = side.block(steps)
    try:
        return seconds_of(run, device)
    finally:
        side.end()


def alternate(sides: Sequence[Side], device: torch.device, *, seconds: float, rounds: int) -> list[list[float]]:
    """Return the rates (work per second) of each side in each round, [side][round].

    A first block and a calibration to about `seconds` a block come before, untimed. Every round starts with another
    side.
    """
    counts = []
    for side in sides:
        time_block(side, 1, device)
        counts.append(steps_lasting(lambda steps, side=side: time_block(side, steps, device), seconds))
    rates: list[list[float]] = [[0.0] * rounds for _ in sides]
    for number in range(rounds):
        for turn in range(len(sides)):
            at = (number + turn) % len(sides)
            rates[at][number] = counts[at] * sides[at].work / time_block(sides[at], counts[at], device)
    return rates


def ratios(rates: Sequence[float], base: Sequence[float]) -> list[float]:
    """Return rate / base round by round: both were measured within a round, when the machine was equally busy."""
    return [rate / reference for rate, reference in zip(rates, base, strict=True)]
