"""The distance of two networks as functions: how far their mean predictions are apart, whatever their error rates.

E |mean prediction of a - mean prediction of b|^2 over the test images, summed over classes: a maximum mean discrepancy
with a linear kernel (Gretton et al. 2012, JMLR 13). Runs of one trial share seeds, and a run with itself shares all, so
only inner products of runs of unlike trials count; that makes the estimate unbiased, and it may be below 0. In units
of the squared distance of two seeds of the baseline: 0 is the same function, 1 as far apart as two seeds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from hybridsep.statistics.difference import Interval, PermutationTest, permuted


@dataclass(frozen=True)
class Distance:
    """How far two networks are apart as functions, in units of two seeds of the baseline.

    `error` is the jackknife's standard error over trials, `low` and `high` Student's interval from it, `trials` those
    that both have. `test` is the permutation test over splits of runs without a common trial.
    """

    value: float | None
    error: float | None
    low: float | None
    high: float | None
    trials: int
    test: PermutationTest


@dataclass(frozen=True)
class Predictions:
    """Runs of one network: `trials` (runs,), and `index` (runs,), where each stands in the matrix of inner products."""

    trials: np.ndarray
    index: np.ndarray

    def of(self, trials: np.ndarray) -> "Predictions":
        """Return the runs of these trials."""
        kept = np.isin(self.trials, trials)
        return Predictions(self.trials[kept], self.index[kept])


def inner_products(probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """Return (runs, runs): the inner product of any two runs' predictions, mean over images.

    Each of `probabilities` is (images, classes). Sums are of float64, so that machines agree on the digits shown.
    """
    stacked = np.stack([one.reshape(-1) for one in probabilities]).astype(np.float64, copy=False)
    return stacked @ stacked.T / len(probabilities[0])


def squared_distance_of_seeds(products: np.ndarray, runs: Predictions) -> float | None:
    """Return the mean squared distance of two runs of unlike trials: the unit. None below two, or where they agree."""
    if len(runs.trials) < 2:
        return None
    norm = float(np.diag(products)[runs.index].mean())
    unit = 2 * (norm - _mean(products, runs, runs))
    return unit if unit > 1e-12 else None


def squared_distance(products: np.ndarray, first: Predictions, second: Predictions) -> float:
    """Return the unbiased squared distance of the mean predictions, in units of probability; two runs each at least."""
    within = _mean(products, first, first) + _mean(products, second, second)
    return within - 2 * _mean(products, first, second)


def _mean(products: np.ndarray, first: Predictions, second: Predictions) -> float:
    """Mean inner product over the pairs of runs of unlike trials."""
    unlike = first.trials[:, np.newaxis] != second.trials[np.newaxis, :]
    return float(products[np.ix_(first.index, second.index)][unlike].mean())


def distance(
    products: np.ndarray,
    first: Predictions,
    second: Predictions,
    *,
    unit: float,
    alpha: float,
    resamples: int,
    rng: np.random.Generator,
) -> Distance:
    """Return the distance of two networks over the trials that both have, its interval, and its test."""
    test = split_test(products, first, second, resamples=resamples, rng=rng)
    common = np.intersect1d(first.trials, second.trials)
    if len(common) < 2:
        return Distance(None, None, None, None, len(common), test)

    def over(trials: np.ndarray) -> float:
        return squared_distance(products, first.of(trials), second.of(trials)) / unit

    value, error, half = _jackknife(over, common, alpha)
    if error is None or half is None:
        return Distance(value, None, None, None, len(common), test)
    return Distance(value, error, value - half, value + half, len(common), test)


def nearer(
    products: np.ndarray, near: Predictions, far: Predictions, baseline: Predictions, *, unit: float, alpha: float
) -> Interval:
    """Return how much farther `far` is from the baseline than `near`, over the trials that all three have.

    Jackknife over trials, of the difference of the two distances: their errors share the baseline.
    """
    common = np.intersect1d(np.intersect1d(near.trials, far.trials), baseline.trials)
    if len(common) < 2:
        return Interval(None, None, None)

    def over(trials: np.ndarray) -> float:
        held = baseline.of(trials)
        apart, beside = (squared_distance(products, one.of(trials), held) for one in (far, near))
        return (apart - beside) / unit

    value, _, half = _jackknife(over, common, alpha)
    return Interval(value, None, None) if half is None else Interval(value, value - half, value + half)


def _jackknife(
    statistic: Callable[[np.ndarray], float], trials: np.ndarray, alpha: float
) -> tuple[float, float | None, float | None]:
    """Return a statistic of trials, its jackknife standard error, and half its Student interval; from three trials."""
    value, count = statistic(trials), len(trials)
    if count < 3:
        return value, None, None
    from scipy import stats

    without = np.array([statistic(trials[trials != trial]) for trial in trials])
    error = float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))
    return value, error, error * float(stats.t.ppf(1 - alpha / 2, count - 1))


def matrix(products: np.ndarray, groups: Sequence[Predictions], unit: float) -> np.ndarray:
    """Return (groups, groups): the distance of every two networks, not-a-number where they share fewer than two trials.

    The diagonal is 0.
    """
    values = np.full((len(groups), len(groups)), np.nan)
    np.fill_diagonal(values, 0.0)
    for i, j in combinations(range(len(groups)), 2):
        common = np.intersect1d(groups[i].trials, groups[j].trials)
        if len(common) > 1:
            values[i, j] = squared_distance(products, groups[i].of(common), groups[j].of(common)) / unit
            values[j, i] = values[i, j]
    return values


def without_common_trials(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Divide the trials between two networks so that none is used twice, and both have as many as can be.

    Of ten and ten the first keeps trials 0 to 4 and the second 5 to 9; of five (0 to 4) and ten, all five and 5 to 9.
    """
    common = np.intersect1d(first.trials, second.trials)
    alone, other_alone = len(first.trials) - len(common), len(second.trials) - len(common)
    to_first = int(np.clip((len(common) + other_alone - alone + 1) // 2, 0, len(common)))
    kept, given = common[:to_first], common[to_first:]
    return (
        first.of(np.setdiff1d(first.trials, given)),
        second.of(np.setdiff1d(second.trials, kept)),
    )


def split_test(
    products: np.ndarray, first: Predictions, second: Predictions, *, resamples: int, rng: np.random.Generator
) -> PermutationTest:
    """Return the test that runs of two networks are one crowd: are other divisions of them as far apart as this one?

    Over runs without a common trial, whose divisions are all as probable if the networks are the same function: exact
    over all of them (126 of five and five, since which half is which does not matter), at random beyond MOST_EXACT.
    """
    first, second = without_common_trials(first, second)
    if min(len(first.index), len(second.index)) < 2:
        return PermutationTest(None, None, None, 0)
    unlike = products - np.diag(np.diag(products))

    def mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Mean inner product of runs of two parts, or of unlike runs of one; parts are (..., runs)."""
        total = unlike[one[..., :, np.newaxis], other[..., np.newaxis, :]].sum(axis=(-2, -1))
        count = one.shape[-1] * other.shape[-1]
        return total / (count - one.shape[-1] if one is other else count)

    def apart(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
        return mean(one, one) + mean(other, other) - 2 * mean(one, other)

    runs = np.concatenate([first.index, second.index])
    result = permuted(
        [first.index, second.index],
        apart,
        # Divisions that tie with this one differ from it by rounding only.
        tolerance=1e-9 * float(np.abs(unlike[np.ix_(runs, runs)]).max()),
        batch=max(1, 1_000_000 // len(runs) ** 2),
        resamples=resamples,
        rng=rng,
    )
    halves = len(first.index) == len(second.index)
    return replace(result, permutations=result.permutations // 2) if result.exact and halves else result
