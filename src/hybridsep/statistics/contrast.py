"""Contrasts: a weighted sum of rows, tested itself. A claim in words needs its own test."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybridsep.statistics.difference import (
    Equivalence,
    Interval,
    PermutationTest,
    equivalence,
    mean_interval,
    permutation_test,
)


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of rows over the `trials` that all of them have, in points.

    `flips` is the sign-flip test of the same trials, which below six trials cannot fall below 0.05.
    """

    trials: int
    interval: Interval
    flips: PermutationTest
    equivalence: Equivalence


def contrast(
    errors: np.ndarray,
    weights: Sequence[float],
    *,
    alpha: float,
    margin: float,
    resamples: int,
    rng: np.random.Generator,
) -> Contrast:
    """Return the contrast of `errors` (rows, trials): (1, -1) one row less another, (1, -1, -1, 1) a difference of two.

    Column t holds what trial t gave in every row, so the contrast is taken trial by trial and is a paired test.
    """
    sums = np.asarray(weights) @ errors
    return Contrast(
        trials=len(sums),
        interval=mean_interval([sums], alpha),
        flips=permutation_test([sums], resamples=resamples, rng=rng),
        equivalence=equivalence([sums], margin, alpha),
    )
