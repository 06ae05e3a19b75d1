"""How two rows differ in test error: statistics of plain arrays of percentages, one number per trial.

Every function returns a plain dictionary. What cannot be computed (one trial, no spread) is None, with a `reason`;
nothing is ever not-a-number. SciPy and statsmodels are imported where they are used, so that `--help` does not wait for
them.
"""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

# Up to this many sign flips or regroupings are all gone through; beyond it permutations are drawn at random.
MOST_EXACT = 20_000
NO_TRIALS = "no trials"
ONE_TRIAL = "one trial has no spread"
TOO_FEW_TO_RESAMPLE = "too few trials for a bootstrap at this level"
NO_SPREAD = "all trials agree, so there is no spread to judge by"


def _lacking(*samples: np.ndarray) -> str | None:
    if min(map(len, samples)) == 0:
        return NO_TRIALS
    if min(map(len, samples)) == 1:
        return ONE_TRIAL
    # Equal decimals differ by rounding: 6.1 - 6.0 is not 8.1 - 8.0.
    return NO_SPREAD if max(map(np.ptp, samples)) < 1e-9 else None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries from warning of samples that hardly vary: that is looked at here, and told by `reason`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def mean_absolute(differences: np.ndarray) -> dict[str, Any]:
    """Mean of |d| over trials and |mean of d|: the paper's quantity (Figure 4) in both readings of its text."""
    if len(differences) == 0:
        return {"mean_absolute": None, "absolute_mean": None, "reason": NO_TRIALS}
    return {
        "mean_absolute": float(np.abs(differences).mean()),
        "absolute_mean": float(abs(differences.mean())),
        "reason": None,
    }


def paired_interval(differences: np.ndarray, alpha: float) -> dict[str, Any]:
    """Mean difference with Student's t interval over trials (scipy.stats.ttest_1samp)."""
    reason = _lacking(differences)
    mean = float(differences.mean()) if len(differences) else None
    if reason:
        return {"mean": mean, "low": None, "high": None, "reason": reason}
    from scipy import stats

    with _quiet():
        interval = stats.ttest_1samp(differences, 0.0).confidence_interval(1 - alpha)
    return {"mean": mean, "low": float(interval.low), "high": float(interval.high), "reason": None}


def welch_interval(row: np.ndarray, baseline: np.ndarray, alpha: float) -> dict[str, Any]:
    """Difference of means of unpaired trials with Welch's interval (scipy.stats.ttest_ind, equal_var=False)."""
    reason = _lacking(row, baseline)
    mean = float(row.mean() - baseline.mean()) if len(row) and len(baseline) else None
    if reason:
        return {"mean": mean, "low": None, "high": None, "reason": reason}
    from scipy import stats

    with _quiet():
        interval = stats.ttest_ind(row, baseline, equal_var=False).confidence_interval(1 - alpha)
    return {"mean": mean, "low": float(interval.low), "high": float(interval.high), "reason": None}


def bootstrap_interval(
    samples: Sequence[np.ndarray], alpha: float, *, resamples: int, rng: np.random.Generator
) -> dict[str, Any]:
    """BCa bootstrap interval (scipy.stats.bootstrap) of the mean of one sample, or the difference of two means.

    Plain BCa intervals are too narrow for few trials (95 % ones cover 82 % at five, 90 % at ten), so their level is
    raised until a percentile interval of normal values would be as wide as Student's t (Hesterberg 2015, The American
    Statistician 69). No resample's mean leaves the range of the sample, which holds the centre of n symmetric values
    with probability 1 - 2^(1 - n): where that is below 1 - `alpha`, there is no interval.
    """
    fewest = min(map(len, samples))
    reason = _lacking(*samples) or (TOO_FEW_TO_RESAMPLE if 2.0 ** (1 - fewest) > alpha else None)
    if reason:
        return {"low": None, "high": None, "reason": reason}
    from scipy import stats

    with _quiet():
        test = stats.ttest_1samp(*samples, 0.0) if len(samples) == 1 else stats.ttest_ind(*samples, equal_var=False)
    raised = 2 * stats.norm.sf(np.sqrt(fewest / (fewest - 1)) * stats.t.ppf(1 - alpha / 2, test.df))

    def statistic(*parts: np.ndarray, axis: int) -> np.ndarray:
        means = [part.mean(axis=axis) for part in parts]
        return means[0] if len(means) == 1 else means[0] - means[1]

    with _quiet():
        result = stats.bootstrap(
            samples,
            statistic,
            n_resamples=resamples,
            batch=max(1, 1_000_000 // max(map(len, samples))),
            confidence_level=1 - raised,
            method="BCa",
            rng=rng,
        )
    low, high = map(float, result.confidence_interval)
    if not (np.isfinite(low) and np.isfinite(high)):
        return {"low": None, "high": None, "reason": "too few different values for a bootstrap"}
    return {"low": low, "high": high, "reason": None}


def permutation_p(samples: Sequence[np.ndarray], *, resamples: int, rng: np.random.Generator) -> dict[str, Any]:
    """Two-sided p (scipy.stats.permutation_test): sign flips of one sample of differences, regroupings of two.

    Exact (`exact` True) when there are at most MOST_EXACT of them: 1,024 flips at ten trials.
    """
    fewest = min(map(len, samples))
    if fewest < 2:
        return {"p": None, "exact": None, "permutations": 0, "reason": ONE_TRIAL if fewest else NO_TRIALS}
    from scipy import special, stats

    sizes = [len(sample) for sample in samples]
    count = 2 ** sizes[0] if len(samples) == 1 else special.comb(sum(sizes), sizes[0], exact=True)
    exact = count <= MOST_EXACT

    def statistic(*parts: np.ndarray, axis: int) -> np.ndarray:
        means = [part.mean(axis=axis) for part in parts]
        return means[0] if len(means) == 1 else means[0] - means[1]

    result = stats.permutation_test(
        samples,
        statistic,
        permutation_type="samples" if len(samples) == 1 else "independent",
        vectorized=True,
        n_resamples=np.inf if exact else resamples,
        batch=max(1, 1_000_000 // sum(sizes)),
        alternative="two-sided",
        rng=rng,
    )
    return {
        "p": float(min(1.0, result.pvalue)),
        "exact": exact,
        "permutations": int(count) if exact else resamples,
        "reason": None,
    }


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction over the rows that have a p-value (statsmodels multipletests, method 'holm')."""
    known = [p for p in p_values if p is not None]
    if not known:
        return [None] * len(p_values)
    from statsmodels.stats.multitest import multipletests

    corrected = iter(multipletests(known, method="holm")[1])
    return [None if p is None else float(next(corrected)) for p in p_values]


def equivalence(samples: Sequence[np.ndarray], margin: float, alpha: float) -> dict[str, Any]:
    """Two one-sided t tests that the mean difference lies within +-margin (statsmodels ttost_paired, ttost_ind).

    `p` is the larger of the two; `equivalent` is p < alpha.
    """
    reason = _lacking(*samples)
    if reason:
        return {"p": None, "equivalent": None, "reason": reason}
    from statsmodels.stats import weightstats

    with _quiet():
        if len(samples) == 1:
            p = weightstats.ttost_paired(samples[0], np.zeros(len(samples[0])), -margin, margin)[0]
        else:
            p = weightstats.ttost_ind(samples[0], samples[1], -margin, margin, usevar="unequal")[0]
    return {"p": float(p), "equivalent": bool(p < alpha), "reason": None}


def detectable(
    samples: Sequence[np.ndarray], alpha: float, power: float, *, trials: int | None = None
) -> dict[str, Any]:
    """Smallest true mean difference that a two-sided t test on so many trials finds with probability `power`.

    From the observed spread (statsmodels TTestPower for one sample of differences, TTestIndPower for two). `trials`
    asks the question for another number of trials of the same spread.
    """
    reason = _lacking(*samples)
    if reason:
        return {"difference": None, "reason": reason}
    sizes = tuple(trials or len(sample) for sample in samples)
    spread = float(np.sqrt(np.mean([sample.var(ddof=1) for sample in samples])))
    return {"difference": spread * _effect(sizes, alpha, power), "reason": None}


def half_width(differences: np.ndarray, alpha: float, *, trials: int) -> dict[str, Any]:
    """Half the width that the paired t interval would have with `trials` trials of the same spread (scipy.stats.t)."""
    reason = _lacking(differences)
    if reason:
        return {"half_width": None, "reason": reason}
    from scipy import stats

    error = float(differences.std(ddof=1)) / np.sqrt(trials)
    return {"half_width": float(stats.t.ppf(1 - alpha / 2, trials - 1) * error), "reason": None}


@cache
def _effect(sizes: tuple[int, ...], alpha: float, power: float) -> float:
    """Standardised effect that has `power`, by bisection: statsmodels' own search fails at two or three trials.

    The far tail (significant with the wrong sign) is left out: it is negligible, and not a number at two trials.
    """
    from scipy import optimize
    from statsmodels.stats.power import TTestIndPower, TTestPower

    def excess(effect: float) -> float:
        if len(sizes) == 1:
            return TTestPower().power(effect, sizes[0], alpha / 2, alternative="larger") - power
        ratio = sizes[1] / sizes[0]
        return TTestIndPower().power(effect, sizes[0], alpha / 2, ratio=ratio, alternative="larger") - power

    high = 1.0
    while excess(high) < 0:
        high *= 2
    return float(optimize.brentq(excess, 0.0, high))


def pairing_gain(row: np.ndarray, baseline: np.ndarray) -> dict[str, Any]:
    """What sharing seeds bought: the correlation of the errors over trials (numpy.corrcoef), and `ratio`.

    `ratio`, Var(a) + Var(b) over Var(a - b), is how many times more trials an unpaired design would need for the same
    standard error.
    """
    empty = {"correlation": None, "ratio": None}
    reason = _lacking(row - baseline)
    if reason:
        return {**empty, "reason": reason}
    apart, together = row.var(ddof=1) + baseline.var(ddof=1), (row - baseline).var(ddof=1)
    if min(row.var(), baseline.var()) < 1e-18:
        return {"correlation": None, "ratio": float(apart / together), "reason": "one of the rows has no spread"}
    return {"correlation": float(np.corrcoef(row, baseline)[0, 1]), "ratio": float(apart / together), "reason": None}
