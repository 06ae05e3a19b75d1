"""All rows against one baseline at once: Dunnett's test, and how probable better, the same and worse are.

One variance, pooled over all rows, serves every comparison: with few trials a row, that is where the power is. Trials
count as independent, as two rows of one trial nearly are on all test images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from hybridsep.statistics.difference import quiet

# Quasi-random integration (scipy.stats.multivariate_t) is good to about this; a p below it is nothing.
_DIGITS = 7
_SEED = 0


@dataclass(frozen=True)
class ManyToOne:
    """One row against the baseline among several: `mean` difference in points, Dunnett's `p`, simultaneous interval.

    `better`, `same`, `worse` are the probabilities that the true difference lies below -margin, within it, and above,
    for a flat prior on the means and on the logarithm of the variance; they add up to 1. `df` belongs to the variance.
    """

    mean: float
    low: float
    high: float
    p: float
    better: float
    same: float
    worse: float
    df: int


def many_to_one(
    rows: Sequence[np.ndarray], baseline: np.ndarray, *, margin: float, alpha: float
) -> list[ManyToOne | None]:
    """Return Dunnett's test of each row (scipy.stats.dunnett); `rows` and `baseline` are errors by trial.

    A row of fewer than two trials gives None and takes no part; all are None without a spread or a baseline.
    """
    taking_part = [row for row in rows if len(row) > 1]
    if len(baseline) < 2 or not taking_part or max(map(np.ptp, [*taking_part, baseline])) < 1e-9:
        return [None] * len(rows)
    from scipy import stats

    with quiet():
        tested = iter(stats.dunnett(*taking_part, control=baseline, rng=np.random.default_rng(_SEED)).pvalue)
    spread, df = pooled_spread([*taking_part, baseline])
    intervals = iter(simultaneous_intervals(taking_part, baseline, alpha=alpha))
    results: list[ManyToOne | None] = []
    for row in rows:
        if len(row) < 2:
            results.append(None)
            continue
        mean, low, high = next(intervals)
        error = spread * float(np.sqrt(1 / len(row) + 1 / len(baseline)))
        better, same, worse = probabilities(mean, error, df, margin)
        p = round(float(np.clip(next(tested), 0.0, 1.0)), _DIGITS)
        results.append(ManyToOne(mean, low, high, p, better, same, worse, df))
    return results


def probabilities(mean: float, error: float, df: int, margin: float) -> tuple[float, float, float]:
    """Return how probable a true difference below -margin, within it and above is, for a flat prior.

    `mean`: the difference measured; `error`: its standard error, from a variance of `df` degrees of freedom.
    """
    from scipy import stats

    below, above = (float(stats.t.cdf((bound - mean) / error, df)) for bound in (-margin, margin))
    return below, above - below, float(stats.t.sf((margin - mean) / error, df))


def simultaneous_intervals(
    rows: Sequence[np.ndarray], baseline: np.ndarray, *, alpha: float
) -> list[tuple[float, float, float]]:
    """Return (mean difference, low, high) of each row, whose intervals hold together with probability 1 - `alpha`.

    Two trials at least of every row and of the baseline. An interval excludes 0 where Dunnett's p is below `alpha`.
    """
    spread, _ = pooled_spread([*rows, baseline])
    critical = critical_value(tuple(map(len, rows)), len(baseline), alpha)
    means = [float(row.mean() - baseline.mean()) for row in rows]
    halves = [critical * spread * float(np.sqrt(1 / len(row) + 1 / len(baseline))) for row in rows]
    return [(mean, mean - half, mean + half) for mean, half in zip(means, halves, strict=True)]


def pooled_spread(samples: Sequence[np.ndarray]) -> tuple[float, int]:
    """Return the standard deviation of a trial, pooled over the samples, and its degrees of freedom."""
    df = sum(len(sample) - 1 for sample in samples)
    squares = sum(float(((sample - sample.mean()) ** 2).sum()) for sample in samples)
    return float(np.sqrt(squares / df)), df


@cache
def critical_value(sizes: tuple[int, ...], baseline: int, alpha: float) -> float:
    """Return Dunnett's two-sided critical value for rows of these sizes.

    By root finding on scipy.stats.multivariate_t with the same quasi-random points at every step:
    scipy.stats.dunnett's own intervals are searched for with fresh points each time, good to 1 % of the level only, and
    differ between machines.
    """
    from scipy import optimize, stats

    df = sum(sizes) + baseline - len(sizes) - 1
    ratio = baseline / np.array(sizes) + 1
    correlation = 1 / np.sqrt(ratio[:, np.newaxis] * ratio[np.newaxis, :])
    np.fill_diagonal(correlation, 1.0)

    def excess(value: float) -> float:
        bounds = np.full(len(sizes), value)
        # A distribution keeps its generator, so each step makes its own, from one seed.
        joint = stats.multivariate_t(shape=correlation, df=df, seed=np.random.default_rng(_SEED))
        return 1 - alpha - float(joint.cdf(bounds, lower_limit=-bounds))

    single, all_apart = (float(stats.t.ppf(1 - level / 2, df)) for level in (alpha, alpha / len(sizes)))
    if len(sizes) == 1:
        return single
    return float(optimize.brentq(excess, single, all_apart * 1.001, xtol=1e-6))
