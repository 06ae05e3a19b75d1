"""Simulated tables whose truth is known, and how often the report's statistics are right in them.

A simulated table has one baseline and as many rows as a scenario has differences. A trial's error is the sum of a part
of its own and of a part that it shares with the other rows of the trial, as the same evaluation images give: the
shared part makes pairs correlate, and the noise floor, judged on the same images, takes it out as it does in a study.
For the distance of functions a run is a point in many dimensions.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from hybridsep.report import distances
from hybridsep.report.settings import AnalysisOptions
from hybridsep.statistics import difference, distance, noise
from hybridsep.statistics.difference import Interval
from hybridsep.statistics.many_to_one import pooled_spread, probabilities, simultaneous_intervals

LEVEL = 20.0
SPREAD = 0.4  # standard deviation of the baseline's error over trials, in points
# As many as give distances the spread that those of CIFAR-10 runs have.
DIMENSIONS = 3000
# Mean 0 and standard deviation 1 each.
SHAPES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "exponential": lambda rng, size: rng.exponential(size=size) - 1,
}
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Scenario:
    """A truth: the rows' `differences` from the baseline in points, and how the errors vary.

    `spread` is the standard deviation of a row's own part relative to the baseline's, `correlation` the share of the
    baseline's variance that its pairs have in common, `shape` a key of SHAPES.
    """

    name: str
    differences: tuple[float, ...]
    spread: float = 1.0
    correlation: float = 0.0
    shape: str = "normal"


@dataclass(frozen=True)
class Functions:
    """A truth of functions: the rows' `distances` from the baseline, and how much of a run its trial's seed decides."""

    name: str
    distances: tuple[float, ...]
    shared: float = 0.0


@dataclass(frozen=True)
class ErrorRates:
    """How often each method was right or wrong in one simulated table, as shares; None where it gave no answer.

    `covers`, `welch`, `bootstrap`: intervals that hold the truth. `rejects`: tests with p below alpha, uncorrected.
    `family`: whether a row without a difference has one by Holm's p, `many` by Dunnett's. `same`: rows that TOST,
    corrected over the rows, calls equal; `undecided`: rows called neither the same nor different; `wrong`: rows called
    different that do not differ, or the same at or beyond the margin. `starred`: rows beyond the noise floor, of those
    that do not differ. `together`, `dunnett`: whether all intervals of the table hold the truth, of paired t at alpha
    by the number of rows and Dunnett's; `contrasts`: whether a row without a difference has one by t and Holm;
    `sure`: rows with a probability of better, same or worse of 0.95 or more, `mistaken`: those that are not so.
    """

    covers: float | None
    welch: float | None
    bootstrap: float | None
    rejects: float
    family: float | None
    many: float | None
    same: float
    wrong: float
    undecided: float
    starred: float | None
    together: bool
    dunnett: bool
    contrasts: bool | None
    sure: float
    mistaken: float


@dataclass(frozen=True)
class FunctionRates:
    """The same of distances of functions.

    `covers`, `nearer`: intervals of the distance, and of the first row's less another's, that hold the truth; `same`,
    `another`: rows that are called so.
    """

    covers: float
    nearer: float
    rejects: float
    family: float | None
    same: float
    another: float


Rates = TypeVar("Rates", ErrorRates, FunctionRates)


class Share(NamedTuple):
    """A share in percent with its Monte Carlo standard error."""

    percent: float
    error: float


@dataclass(frozen=True)
class Simulated(Generic[Rates]):
    """A truth tried with so many trials of every row: the rates of each table that was drawn."""

    truth: str
    trials: int
    tables: Sequence[Rates]

    def share(self, rate: Callable[[Rates], float | None]) -> Share | None:
        """Return the mean of a rate over the tables that have one; None where none has.

        The error is that of the mean over tables, because the rows of one table have their baseline in common.
        """
        rates = np.array([value for value in map(rate, self.tables) if value is not None])
        if not len(rates):
            return None
        error = rates.std(ddof=1) / np.sqrt(len(rates)) if len(rates) > 1 else 0.0
        return Share(100 * float(rates.mean()), 100 * float(error))


def scenarios(margin: float, rows: int) -> list[Scenario]:
    """Return the truths that the comparison of errors is tried on; `margin` is that of the equivalence test."""
    same = (0.0,) * rows
    return [
        Scenario("0 in every row", same),
        Scenario("0, pairs correlated 0.8", same, correlation=0.8),
        Scenario("0.1 in every row", (0.1,) * rows),
        Scenario("0.5 in every row", (0.5,) * rows),
        Scenario("0.5 in one row, else 0", (0.5, *same[1:])),
        Scenario(f"{margin:g}, the margin, correlated 0.95", (margin,) * rows, correlation=0.95),
        Scenario("0, rows spread x 2", same, spread=2.0),
        Scenario("0, exponential errors", same, shape="exponential"),
        Scenario("0, exponential, spread x 2", same, spread=2.0, shape="exponential"),
    ]


def functions(margin: float, rows: int) -> list[Functions]:
    """Return the truths that the distance of functions is tried on; `margin` is report.distance."""
    same = (0.0,) * rows
    return [
        Functions("the same function in every row", same),
        Functions("the same, trials share half", same, shared=0.5),
        Functions(f"{margin:g}, the margin, in every row", (margin,) * rows),
        Functions("0.02 in one row, else 0", (0.02, *same[1:])),
    ]


def draw(scenario: Scenario, trials: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the baseline (trials,), the rows (rows, trials), and what each trial's images add to all (trials,)."""
    shape = SHAPES[scenario.shape]
    alone, shared = SPREAD * np.sqrt(1 - scenario.correlation), SPREAD * np.sqrt(scenario.correlation)
    images = shared * shape(rng, (trials,))
    baseline = LEVEL + alone * shape(rng, (trials,))
    rows = LEVEL + alone * scenario.spread * shape(rng, (len(scenario.differences), trials))
    return baseline, rows + np.array(scenario.differences)[:, np.newaxis], images


def measure(
    scenario: Scenario, trials: int, options: AnalysisOptions, *, simulations: int, rng: np.random.Generator
) -> Simulated[ErrorRates]:
    """Return how often each method is right in each of so many simulated tables."""
    with _frozen():
        tables = [error_rates(scenario, trials, options, rng=rng) for _ in range(simulations)]
    return Simulated(scenario.name, trials, tables)


def error_rates(scenario: Scenario, trials: int, options: AnalysisOptions, *, rng: np.random.Generator) -> ErrorRates:
    """Return how often each method is right in one table that is drawn here."""
    alpha, resamples = options.alpha, options.resamples
    alone, rows, images = draw(scenario, trials, rng)
    baseline, rows = alone + images, rows + images
    truth, paired = np.array(scenario.differences), options.pairing == "paired"
    null = truth == 0
    bootstraps, tests = [], []
    for row in rows:
        samples = (row - baseline,) if paired else (row, baseline)
        bootstraps.append(difference.bootstrap_interval(samples, alpha, resamples=resamples, rng=rng))
        tests.append(difference.difference_test(samples, alpha, resamples=resamples, rng=rng))
    floor = noise.noise_floor(
        alone[:, np.newaxis] + images,  # of trial i on the images of trial j
        same_images=paired,
        size=trials,
        groups=options.groups,
        alpha=alpha,
        rng=rng,
    )
    welch = [difference.mean_interval((row, baseline), alpha) for row in rows]
    margin = options.margin
    equal = [difference.equivalence((row - baseline,) if paired else (row, baseline), margin, alpha).p for row in rows]
    different = _below([test.p for test in tests], alpha, corrected=True)
    same = _below(equal, alpha, corrected=True)
    # A verdict: what is equal within the margin is the same, however sure the difference is.
    wrong = (different & ~same & null) | (same & (np.abs(truth) >= margin - _ROUNDING))
    joint = simultaneous_intervals(rows, baseline, alpha=alpha)
    many = np.array([low > 0 or high < 0 for _, low, high in joint])
    paired_t = [difference.mean_interval((row - baseline,), alpha) for row in rows]
    together = [difference.mean_interval((row - baseline,), alpha / len(rows)) for row in rows]
    by_t = _below([each.p for each in paired_t], alpha, corrected=True)
    sure, mistaken = _probabilities(rows, baseline, truth, margin)
    apart = [_absolute(row, baseline, paired=paired) for row in rows]
    return ErrorRates(
        covers=_covered(paired_t if paired else welch, truth),
        welch=_covered(welch, truth),
        bootstrap=_covered(bootstraps, truth),
        rejects=float(_below([test.p for test in tests], alpha).mean()),
        family=float((different & null).any()) if null.any() else None,
        many=float((many & null).any()) if null.any() else None,
        same=float(same.mean()),
        wrong=float(wrong.mean()),
        undecided=float((~same & ~different).mean()),
        starred=float(np.mean(np.array(apart)[null] > floor.high)) if null.any() and floor.high is not None else None,
        together=_covered(together, truth) == 1,
        dunnett=all(low <= value <= high for (_, low, high), value in zip(joint, truth, strict=True)),
        contrasts=bool((by_t & null).any()) if null.any() else None,
        sure=sure,
        mistaken=mistaken,
    )


def _probabilities(rows: np.ndarray, baseline: np.ndarray, truth: np.ndarray, margin: float) -> tuple[float, float]:
    """Return the share of rows whose better, same or worse has 0.95 or more, and the share for which that is wrong."""
    spread, df = pooled_spread([*rows, baseline])
    error = spread * float(np.sqrt(1 / rows.shape[1] + 1 / len(baseline)))
    sure = np.array([probabilities(mean, error, df, margin) for mean in rows.mean(1) - baseline.mean()]) >= 0.95
    # At the margin itself neither of the two beside it is a mistake.
    right = np.array([[value <= -margin, abs(value) <= margin, value >= margin] for value in truth])
    return float(sure.any(1).mean()), float((sure & ~right).any(1).mean())


def _absolute(row: np.ndarray, baseline: np.ndarray, *, paired: bool) -> float:
    """Mean |d|: of trial t against trial t, or of unlike trials."""
    apart = np.abs(row[:, np.newaxis] - baseline)
    return float(apart[np.eye(len(row), dtype=bool) == paired].mean())


def _below(p_values: Sequence[float | None], alpha: float, *, corrected: bool = False) -> np.ndarray:
    """Return which p lie below alpha, corrected (Holm) or as they are; (rows,) bool."""
    p_values = difference.holm(p_values) if corrected else p_values
    return np.array([p is not None and p < alpha for p in p_values])


def _covered(intervals: Sequence[Interval], truth: np.ndarray) -> float | None:
    """Share of the intervals that hold the truth; None where one of them is not given."""
    if any(interval.low is None for interval in intervals):
        return None
    return float(np.mean([each.low <= value <= each.high for each, value in zip(intervals, truth, strict=True)]))


def measure_functions(
    truth: Functions, trials: int, options: AnalysisOptions, *, simulations: int, rng: np.random.Generator
) -> Simulated[FunctionRates]:
    """Return how often the distance of functions is right in each of so many simulated tables."""
    return Simulated(truth.name, trials, [function_rates(truth, trials, options, rng=rng) for _ in range(simulations)])


def function_rates(
    truth: Functions, trials: int, options: AnalysisOptions, *, rng: np.random.Generator
) -> FunctionRates:
    """Return how often the distance of functions is right in one table that is drawn here.

    A run is a point in DIMENSIONS dimensions; the squared distance of two seeds is 1.
    """
    apart = np.array([0.0, *truth.distances])
    scale = np.sqrt(0.5 / DIMENSIONS)
    runs = np.sqrt(1 - truth.shared) * rng.standard_normal((len(apart), trials, DIMENSIONS))
    runs = scale * (runs + np.sqrt(truth.shared) * rng.standard_normal((trials, DIMENSIONS)))
    # Each row goes its own way from the baseline.
    for row, far in enumerate(apart[1:], 1):
        runs[row, :, row] += np.sqrt(far)
    points = runs.reshape(-1, DIMENSIONS)
    products = points @ points.T
    groups = [distance.Predictions(np.arange(trials), row * trials + np.arange(trials)) for row in range(len(apart))]
    unit = distance.squared_distance_of_seeds(products, groups[0])
    assert unit is not None
    measured = [
        distance.distance(
            products, row, groups[0], unit=unit, alpha=options.alpha, resamples=options.resamples, rng=rng
        )
        for row in groups[1:]
    ]
    p_values = [each.test.p for each in measured]
    shows = np.array(
        [distances.shows(each, p, options) for each, p in zip(measured, difference.holm(p_values), strict=True)]
    )
    null = apart[1:] == 0
    farther = distance.nearer(products, groups[2], groups[1], groups[0], unit=unit, alpha=options.alpha)
    different = _below(p_values, options.alpha, corrected=True)
    return FunctionRates(
        covers=float(np.mean([each.low <= far <= each.high for each, far in zip(measured, apart[1:], strict=True)])),
        nearer=float(farther.low <= apart[1] - apart[2] <= farther.high),
        rejects=float(_below(p_values, options.alpha).mean()),
        family=float((different & null).any()) if null.any() else None,
        same=float((shows == distances.SAME_FUNCTION).mean()),
        another=float((shows == distances.ANOTHER_FUNCTION).mean()),
    )


@contextlib.contextmanager
def _frozen() -> Iterator[None]:
    """Leave what is loaded out of garbage collections: statsmodels' Holm makes one at every call, of 0.1 s each."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
