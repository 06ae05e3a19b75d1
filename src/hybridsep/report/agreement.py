"""Functional similarity: on how many images two networks give different answers, whatever their error rates."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybridsep.report.difference import NO_TRIALS


def disagreement(first: np.ndarray, second: np.ndarray) -> float:
    """Share of images in percent on which two networks predict different classes; arrays (images,)."""
    return 100 * float((first != second).mean())


def disagreement_matrix(predicted: Sequence[np.ndarray]) -> np.ndarray:
    """(runs, runs): share of images in percent on which two runs differ; symmetric with a zero diagonal."""
    stacked = np.array(predicted)
    return np.array([100 * (stacked != one).mean(axis=1) for one in stacked])


def mean_disagreement(predicted: Sequence[np.ndarray]) -> dict[str, Any]:
    """Mean share over all pairs of different trials of one network: what the seed alone does.

    Counted per class and image (pairs that agree are k (k - 1) / 2 for a class with k votes), so a thousand trials cost
    no more per trial than ten.
    """
    n = len(predicted)
    if n < 2:
        return {"percent": None, "pairs": 0, "reason": NO_TRIALS if n == 0 else "one trial has no other"}
    votes = np.zeros((int(max(one.max() for one in predicted)) + 1, len(predicted[0])))
    for one in predicted:
        votes[one, np.arange(len(one))] += 1
    agreeing = (votes * (votes - 1)).sum() / 2
    pairs = n * (n - 1) // 2
    return {"percent": 100 * float(1 - agreeing / (pairs * len(predicted[0]))), "pairs": pairs, "reason": None}


def mcnemar(wrong_row: np.ndarray, wrong_baseline: np.ndarray) -> dict[str, Any]:
    """McNemar's exact test of one trial (statsmodels mcnemar): is one network wrong oftener where they differ?

    Arrays (images,) bool. `only_row` and `only_baseline` count the images that only one of the two gets wrong.
    """
    from statsmodels.stats.contingency_tables import mcnemar as test

    only_row = int((wrong_row & ~wrong_baseline).sum())
    only_baseline = int((wrong_baseline & ~wrong_row).sum())
    both = int((wrong_row & wrong_baseline).sum())
    if only_row + only_baseline == 0:
        return {"only_row": 0, "only_baseline": 0, "p": 1.0, "reason": "the two are wrong on the same images"}
    table = [[both, only_row], [only_baseline, len(wrong_row) - both - only_row - only_baseline]]
    # An even split gives statsmodels a p-value above 1.
    p = min(1.0, float(test(table, exact=True).pvalue))
    return {"only_row": only_row, "only_baseline": only_baseline, "p": p, "reason": None}
