"""Timing of work on a device: seconds of a call, steps that fill a block, and a summary of repeated measurements."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

MAX_STEPS = 4096  # in one block


def seconds_of(call: Callable[[], None], device: torch.device) -> float:
    """Return the seconds of a call, with all that it started on the device."""
    synchronise(device)
    begun = time.perf_counter()
    call()
    synchronise(device)
    return time.perf_counter() - begun


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


def spread(values: list[float]) -> dict[str, Any]:
    """Return median, interquartile range (linear interpolation) and number of the values."""
    low, high = np.percentile(values, [25, 75])
    return {"median": statistics.median(values), "iqr": float(high - low), "n": len(values)}
