"""How two rows differ in test error: statistics of plain arrays of percentages, one number per trial."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

# Up to this many sign flips or regroupings are all gone through; beyond it permutations are drawn at random.
MOST_EXACT = 20_000
# The fewest trials whose sign flips can fall below 0.05: the least of 2^n flips is 2 / 2^n.
FEWEST_TO_FLIP = 6


class Reason(StrEnum):
    """Why something could not be computed, in words for a reader."""

    NO_TRIALS = "no trials"
    ONE_TRIAL = "one trial has no spread"
    ONE_OF_BASELINE = "one baseline trial has no other to be compared with"
    NO_SPREAD = "all trials agree, so there is no spread to judge by"


@dataclass(frozen=True)
class Absolute:
    """Mean of |d| over trials and |mean of d|: the paper's quantity (Figure 4) in both readings of its text."""

    mean_absolute: float
    absolute_mean: float


@dataclass(frozen=True)
class Interval:
    """A mean difference in points with its interval, and `p` of the t test that it is 0.

    Where there is no spread, a `reason` in place of bounds.
    """

    mean: float | None
    low: float | None
    high: float | None
    reason: Reason | None = None
    p: float | None = None


@dataclass(frozen=True)
class PermutationTest:
    """Two-sided `p`, over all `permutations` when `exact`; `least` is the least p that so many trials can give."""

    p: float | None
    least: float | None
    exact: bool | None
    permutations: int

    @property
    def is_least(self) -> bool:
        """Whether no outcome of these trials could have given a smaller p."""
        return self.p is not None and self.least is not None and self.p <= self.least * (1 + 1e-9)


@dataclass(frozen=True)
class DifferenceTest:
    """Two-sided `p` that a mean difference is 0: Student's t (or Welch's) when `by_t`, else that of `permutation`."""

    p: float | None
    by_t: bool
    permutation: PermutationTest


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests: `p` is the larger of the two, `equivalent` whether it is below alpha."""

    p: float | None
    equivalent: bool | None


@dataclass(frozen=True)
class PairingGain:
    """What sharing seeds bought: the correlation of the errors over trials, and `ratio`.

    `ratio`, Var(a) + Var(b) over Var(a - b), is how many times more trials an unpaired design would need for the same
    standard error.
    """

    correlation: float | None
    ratio: float | None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries from warning of samples that hardly vary: that is looked at here, and told by `reason`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def lacking(*samples: np.ndarray) -> Reason | None:
    """Return why the samples have no spread to judge by; None when they have."""
    if min(map(len, samples)) < 2:
        return Reason.ONE_TRIAL if min(map(len, samples)) else Reason.NO_TRIALS
    # Equal decimals differ by rounding: 6.1 - 6.0 is not 8.1 - 8.0.
    return Reason.NO_SPREAD if max(map(np.ptp, samples)) < 1e-9 else None


def absolute(differences: np.ndarray) -> Absolute | None:
    """Mean of |d| and |mean of d|; None without trials."""
    if len(differences) == 0:
        return None
    return Absolute(float(np.abs(differences).mean()), float(abs(differences.mean())))


def mean_interval(samples: Sequence[np.ndarray], alpha: float) -> Interval:
    """Mean of one sample of differences with Student's interval, or difference of two means with Welch's (scipy.stats).

    Its `p` is that of the paired t test, or of Welch's.
    """
    mean = _mean_of(samples)
    if reason := lacking(*samples):
        return Interval(mean, None, None, reason)
    with quiet():
        test = _t_test(samples)
        bounds = test.confidence_interval(1 - alpha)
    return Interval(mean, float(bounds.low), float(bounds.high), p=float(test.pvalue))


def _t_test(samples: Sequence[np.ndarray]) -> Any:
    from scipy import stats

    return stats.ttest_1samp(*samples, 0.0) if len(samples) == 1 else stats.ttest_ind(*samples, equal_var=False)


def bootstrap_interval(
    samples: Sequence[np.ndarray], alpha: float, *, resamples: int, rng: np.random.Generator
) -> Interval:
    """BCa bootstrap interval (scipy.stats.bootstrap) of the mean of one sample, or the difference of two means.

    Plain BCa intervals are too narrow for few trials (95 % ones cover 82 % at five, 90 % at ten), so their level is
    raised until a percentile interval of normal values would be as wide as Student's t (Hesterberg 2015, The American
    Statistician 69). No resample's mean leaves the range of the sample, which holds the centre of n symmetric values
    with probability 1 - 2^(1 - n): where that is below 1 - `alpha`, there is no interval.
    """
    fewest, mean = min(map(len, samples)), _mean_of(samples)
    if (reason := lacking(*samples)) or 2.0 ** (1 - fewest) > alpha:
        return Interval(mean, None, None, reason)
    from scipy import stats

    with quiet():
        raised = 2 * stats.norm.sf(np.sqrt(fewest / (fewest - 1)) * stats.t.ppf(1 - alpha / 2, _t_test(samples).df))
        result = stats.bootstrap(
            samples,
            _difference_of_means,
            n_resamples=resamples,
            batch=max(1, 1_000_000 // max(map(len, samples))),
            confidence_level=1 - raised,
            method="BCa",
            rng=rng,
        )
    low, high = map(float, result.confidence_interval)
    # Too few different values give no number.
    return Interval(mean, low, high) if np.isfinite([low, high]).all() else Interval(mean, None, None)


def _mean_of(samples: Sequence[np.ndarray]) -> float | None:
    return float(_difference_of_means(*samples, axis=0)) if min(map(len, samples)) else None


def _difference_of_means(*parts: np.ndarray, axis: int) -> np.ndarray:
    means = [part.mean(axis=axis) for part in parts]
    return means[0] if len(means) == 1 else means[0] - means[1]


def permutation_test(samples: Sequence[np.ndarray], *, resamples: int, rng: np.random.Generator) -> PermutationTest:
    """Two-sided test (scipy.stats.permutation_test): sign flips of one sample of differences, regroupings of two.

    Exact when there are at most MOST_EXACT of them: 1,024 flips at ten trials.
    """

    def apart(*parts: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(_difference_of_means(*parts, axis=axis))

    if min(map(len, samples)) < 2:
        return PermutationTest(None, None, None, 0)
    largest = max(float(np.abs(sample).max()) for sample in samples)
    batch = max(1, 1_000_000 // sum(map(len, samples)))
    return permuted(samples, apart, tolerance=1e-9 * largest, batch=batch, resamples=resamples, rng=rng)


def permuted(
    samples: Sequence[np.ndarray],
    statistic: Callable[..., np.ndarray],
    *,
    tolerance: float,
    batch: int,
    resamples: int,
    rng: np.random.Generator,
) -> PermutationTest:
    """Return how often `statistic` is as large under permutations: sign flips of one sample, regroupings of two.

    It must not change when all signs do, or when two samples of one size change places. Of more than MOST_EXACT
    permutations `resamples` are drawn at random, and p counts the observed one among them, so it is never 0 (Phipson &
    Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9). `batch`: permutations at once.

    Errors are counts of images, so permutations tie, and as percentages they tie but for rounding. SciPy's tolerance is
    relative to the observed statistic, which may be nearly 0, and misses them. Here a permutation counts that is as far
    out but for `tolerance`. At 1e-9 of the largest value, it is far above rounding, 1e-15 of it, and far below one
    image of 10,000 in one trial of 1,000, which moves a mean by 1e-5 points: p is that of the whole counts.
    """
    from scipy import special, stats

    sizes = [len(sample) for sample in samples]
    flips = len(samples) == 1
    count = 2 ** sizes[0] if flips else special.comb(sum(sizes), sizes[0], exact=True)
    exact = count <= MOST_EXACT
    result = stats.permutation_test(
        samples,
        statistic,
        permutation_type="samples" if flips else "independent",
        vectorized=True,
        n_resamples=np.inf if exact else resamples,
        batch=batch,
        alternative="greater",
        rng=rng,
    )
    as_far = int((result.null_distribution >= float(result.statistic) - tolerance).sum())
    if not exact:
        return PermutationTest((as_far + 1) / (resamples + 1), 1 / (resamples + 1), False, resamples)
    # Every flip has its mirror image; so has every regrouping of two samples of one size.
    mirrored = flips or sizes[0] == sizes[1]
    return PermutationTest(as_far / count, (2 if mirrored else 1) / count, True, count)


def difference_test(
    samples: Sequence[np.ndarray], alpha: float, *, resamples: int, rng: np.random.Generator
) -> DifferenceTest:
    """Return the permutation test, or Student's t where of so few trials no permutation can fall below `alpha`."""
    permutation = permutation_test(samples, resamples=resamples, rng=rng)
    by_t = permutation.least is not None and permutation.least >= alpha
    return DifferenceTest(mean_interval(samples, alpha).p if by_t else permutation.p, by_t, permutation)


def holm(p_values: Sequence[float | None], families: Sequence[bool] = ()) -> list[float | None]:
    """Holm's step-down correction over the p-values that are there (statsmodels multipletests, method 'holm').

    Each family by itself where `families` says which one a p-value belongs to.
    """
    from statsmodels.stats.multitest import multipletests

    corrected, families = list(p_values), families or [False] * len(p_values)
    for family in set(families):
        places = [place for place, p in enumerate(p_values) if p is not None and families[place] == family]
        adjusted = multipletests([p_values[place] for place in places], method="holm")[1] if places else []
        for place, p in zip(places, adjusted, strict=True):
            corrected[place] = float(p)
    return corrected


def equivalence(samples: Sequence[np.ndarray], margin: float, alpha: float) -> Equivalence:
    """Two one-sided t tests that the mean difference lies within +-margin (statsmodels ttost_paired, ttost_ind)."""
    if lacking(*samples):
        return Equivalence(None, None)
    from statsmodels.stats import weightstats

    with quiet():
        if len(samples) == 1:
            p = weightstats.ttost_paired(samples[0], np.zeros(len(samples[0])), -margin, margin)[0]
        else:
            p = weightstats.ttost_ind(samples[0], samples[1], -margin, margin, usevar="unequal")[0]
    return Equivalence(float(p), bool(p < alpha))


def pairing_gain(row: np.ndarray, baseline: np.ndarray) -> PairingGain:
    """Correlation of the errors of paired trials (numpy.corrcoef), and what pairing bought."""
    if lacking(row - baseline):
        return PairingGain(None, None)
    ratio = float((row.var(ddof=1) + baseline.var(ddof=1)) / (row - baseline).var(ddof=1))
    flat = min(row.var(), baseline.var()) < 1e-18
    return PairingGain(None if flat else float(np.corrcoef(row, baseline)[0, 1]), ratio)
