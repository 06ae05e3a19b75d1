"""How many trials would settle a question, from the spread measured so far, and the spread that theory predicts.

Powers are those of the tests that the report makes, paired t and two one-sided t tests, exact for normal differences.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from hybridsep.statistics.difference import lacking

MOST_TRIALS = 1_000_000
_NODES = 400


@dataclass(frozen=True)
class IndependentErrors:
    """Spread between trials of one network that errs independently on each image, in points.

    `predicted` and `measured` standard deviation of the error on all images; the mean absolute difference of two trials
    on images drawn at random, `same` for both or each its `own`.
    """

    predicted: float
    measured: float
    same: float
    own: float


def detection_power(spread: float, difference: float, trials: int, alpha: float) -> float:
    """Probability that a two-sided paired t test at `alpha` tells a true mean `difference` from 0.

    `spread` is the standard deviation of a trial's difference (statsmodels TTestPower, both tails).
    """
    from statsmodels.stats.power import TTestPower

    effect = abs(difference) / spread
    near, far = (TTestPower().power(effect, trials, alpha / 2, alternative=side) for side in ("larger", "smaller"))
    # SciPy gives no number for the far tail of a large effect, where it is nothing.
    return float(near + np.nan_to_num(far))


def equivalence_power(spread: float, margin: float, trials: int, alpha: float, *, difference: float = 0.0) -> float:
    """Probability that two one-sided paired t tests at `alpha` show the mean within +-`margin`.

    `difference` is the true mean. The tests succeed when |mean| < margin - t s / sqrt(n); mean and standard deviation
    s of normal differences are independent, so this is the normal probability of the mean, averaged over the chi-square
    distribution of s (Gauss-Legendre in its probability). Schuirmann 1987; Phillips 1990.
    """
    from scipy import stats

    df, root = trials - 1, np.sqrt(trials)
    critical = stats.t.ppf(1 - alpha, df)
    # Beyond this s no mean is near enough to 0.
    largest = stats.chi2.cdf(df * (margin * root / (critical * spread)) ** 2, df)
    nodes, weights = _quadrature()
    s = spread * np.sqrt(stats.chi2.ppf(largest * (nodes + 1) / 2, df) / df)
    room = margin - critical * s / root
    error = spread / root
    inside = stats.norm.cdf((room - difference) / error) - stats.norm.cdf((-room - difference) / error)
    return float(np.sum(weights * np.maximum(inside, 0.0)) * largest / 2)


@cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(_NODES)


def trials_for(power_of: Callable[[int], float], power: float) -> int | None:
    """Return the fewest trials, from 2, with at least `power`; None when MOST_TRIALS are not enough."""
    low, high = 1, 2
    while power_of(high) < power:
        low, high = high, 2 * high
        if high > MOST_TRIALS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high


def spread_interval(differences: np.ndarray, alpha: float) -> tuple[float, float]:
    """Return the 1 - `alpha` interval of the standard deviation of normal differences (chi-square); two at least."""
    from scipy import stats

    df = len(differences) - 1
    squares = df * float(differences.var(ddof=1))
    low, high = stats.chi2.ppf((1 - alpha / 2, alpha / 2), df)
    return float(np.sqrt(squares / low)), float(np.sqrt(squares / high))


def independent_errors(wrong: np.ndarray, *, images: int) -> IndependentErrors:
    """The spread between trials of one network if they err independently on each image (Jordan, arXiv 2304.01910).

    `wrong` (trials, test images) says which image a trial has wrong, two trials at least. With p the share of trials
    that have an image wrong, the variance of the number of errors is the sum of p (1 - p), whose unbiased estimate from
    k of T trials is k (T - k) / (T (T - 1)). The mean absolute difference of two trials that are judged on `images`
    images drawn at random is 2 s / sqrt(pi); images of its own add the variance of the draw.
    """
    trials, available = wrong.shape
    times = wrong.sum(axis=0, dtype=np.int64)
    variance = float((times * (trials - times)).sum()) / (trials * (trials - 1)) / available**2
    rate = float(wrong.mean())
    drawn = (1 - images / available) / images * rate * (1 - rate) * available / (available - 1)
    return IndependentErrors(
        predicted=100 * float(np.sqrt(variance)),
        measured=100 * float(wrong.mean(axis=1).std(ddof=1)),
        same=200 * float(np.sqrt(variance * available / images / np.pi)),
        own=200 * float(np.sqrt((variance + drawn) / np.pi)),
    )


def detectable(samples: Sequence[np.ndarray], alpha: float, power: float, *, trials: int | None = None) -> float | None:
    """Smallest true mean difference that a two-sided t test on so many trials finds with probability `power`.

    From the observed spread of one sample of differences or of two samples: the noncentrality of Student's t at which
    it is beyond its critical value so often (scipy.stats.nct; the far tail is negligible). `trials` asks the question
    for another number of trials of the same spread.
    """
    if lacking(*samples):
        return None
    from scipy import optimize, special, stats

    sizes = np.array([trials or len(sample) for sample in samples])
    df = int((sizes - 1).sum())
    spread = np.sqrt(np.mean([sample.var(ddof=1) for sample in samples]))
    critical = stats.t.ppf(1 - alpha / 2, df)
    near = special.nctdtrinc(df, 1 - power, critical)  # to six digits
    noncentrality = optimize.brentq(lambda shift: stats.nct.sf(critical, df, shift) - power, 0.99 * near, 1.01 * near)
    return float(spread * noncentrality * np.sqrt((1 / sizes).sum()))


def half_width(differences: np.ndarray, alpha: float, *, trials: int) -> float | None:
    """Half the width that the paired t interval would have with `trials` trials of the same spread (scipy.stats.t)."""
    if lacking(differences):
        return None
    from scipy import stats

    error = float(differences.std(ddof=1)) / np.sqrt(trials)
    return float(stats.t.ppf(1 - alpha / 2, trials - 1)) * error
