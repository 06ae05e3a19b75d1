"""Functional similarity: on how many images two networks give different answers, whatever their error rates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Disagreement:
    """Mean share of images, in percent, on which two runs predict different classes, over so many pairs."""

    percent: float | None
    pairs: int


@dataclass(frozen=True)
class McNemar:
    """How many images only one of two networks gets wrong, and the exact p that they are equally often wrong."""

    only_row: int
    only_baseline: int
    p: float


def disagreement(first: np.ndarray, second: np.ndarray) -> float:
    """Share of images in percent on which two networks predict different classes; arrays (images,)."""
    return 100 * float((first != second).mean())


def disagreement_matrix(predicted: Sequence[np.ndarray]) -> np.ndarray:
    """(runs, runs): share of images in percent on which two runs differ; symmetric with a zero diagonal."""
    stacked = np.array(predicted)
    return np.array([100 * (stacked != one).mean(axis=1) for one in stacked])


def mean_disagreement(predicted: Sequence[np.ndarray]) -> Disagreement:
    """Mean share over all pairs of different trials of one network: what the seed alone does.

    Counted per class and image (pairs that agree are k (k - 1) / 2 for a class with k votes), so a thousand trials cost
    no more per trial than ten.
    """
    n = len(predicted)
    if n < 2:
        return Disagreement(None, 0)
    votes = np.zeros((int(max(one.max() for one in predicted)) + 1, len(predicted[0])))
    for one in predicted:
        votes[one, np.arange(len(one))] += 1
    agreeing = (votes * (votes - 1)).sum() / 2
    pairs = n * (n - 1) // 2
    return Disagreement(100 * float(1 - agreeing / (pairs * len(predicted[0]))), pairs)


def mcnemar(wrong_row: np.ndarray, wrong_baseline: np.ndarray) -> McNemar:
    """McNemar's exact test of one trial (statsmodels mcnemar): is one network wrong oftener where they differ?

    Arrays (images,) bool.
    """
    from statsmodels.stats.contingency_tables import mcnemar as test

    only_row = int((wrong_row & ~wrong_baseline).sum())
    only_baseline = int((wrong_baseline & ~wrong_row).sum())
    # The test looks at these two only. statsmodels' p of an even split is above 1.
    p = min(1.0, float(test([[0, only_row], [only_baseline, 0]], exact=True).pvalue))
    return McNemar(only_row, only_baseline, p)
