"""How often the distance of functions is right: on simulated networks whose functions are known."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hybridsep.report.calibration import share, shown
from hybridsep.report.distances import ANOTHER_FUNCTION, SAME_FUNCTION, shows
from hybridsep.report.settings import AnalysisOptions, Calibrated
from hybridsep.report.table import Column, Table, percent
from hybridsep.runs.seeds import stream
from hybridsep.statistics import distance
from hybridsep.statistics.difference import holm
from hybridsep.statistics.distance import Predictions


@dataclass(frozen=True)
class Functions:
    """A truth of functions: the rows' `distances` from the baseline, and how much of a run its trial's seed decides."""

    name: str
    distances: tuple[float, ...]
    shared: float = 0.0


def functions(margin: float, rows: int) -> list[Functions]:
    """Return the truths that the distance of functions is tried on; `margin` is report.distance."""
    same = (0.0,) * rows
    return [
        Functions("the same function in every row", same),
        Functions("the same, trials share half", same, shared=0.5),
        Functions(f"{margin:g}, the margin, in every row", (margin,) * rows),
        Functions("0.02 in one row, else 0", (0.02, *same[1:])),
    ]


def measure_functions(
    truth: Functions, trials: int, choices: AnalysisOptions, *, simulations: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Return how often the distance of functions is right over so many simulated tables, as shares with their error.

    A run is a point in _DIMENSIONS dimensions, as many as give distances the spread of our CIFAR-10 runs; the squared
    distance of two seeds is 1. `covers`, `nearer`: intervals of the distance, and of the first row's less another's,
    that hold the truth; `rejects`, `family` as in `measure`; `same`, `another`: rows that are called so.
    """
    tables = [_functions_table(truth, trials, choices, rng) for _ in range(simulations)]
    return {"scenario": truth.name, "n": trials} | {
        name: share([table[name] for table in tables]) for name in tables[0]
    }


_DIMENSIONS = 3000


def _functions_table(
    truth: Functions, trials: int, choices: AnalysisOptions, rng: np.random.Generator
) -> dict[str, float | None]:
    distances = np.array([0.0, *truth.distances])
    scale = np.sqrt(0.5 / _DIMENSIONS)
    runs = np.sqrt(1 - truth.shared) * rng.standard_normal((len(distances), trials, _DIMENSIONS))
    runs = scale * (runs + np.sqrt(truth.shared) * rng.standard_normal((trials, _DIMENSIONS)))
    # Each row goes its own way from the baseline.
    for row, apart in enumerate(distances[1:], 1):
        runs[row, :, row] += np.sqrt(apart)
    points = runs.reshape(-1, _DIMENSIONS)
    products = points @ points.T
    groups = [Predictions(np.arange(trials), row * trials + np.arange(trials)) for row in range(len(distances))]
    unit = distance.squared_distance_of_seeds(products, groups[0])
    assert unit is not None
    options = {"unit": unit, "alpha": choices.alpha}
    found = [
        distance.distance(products, row, groups[0], resamples=choices.resamples, rng=rng, **options)
        for row in groups[1:]
    ]
    p = [one.test.p for one in found]
    corrected = holm(p)
    null = distances[1:] == 0
    said = np.array([shows(one, known, choices) for one, known in zip(found, corrected, strict=True)])
    below = np.array([known is not None and known < choices.alpha for known in corrected])
    held = [one.low <= true <= one.high for one, true in zip(found, distances[1:], strict=True)]
    farther = distance.nearer(products, groups[2], groups[1], groups[0], **options)
    return {
        "covers": float(np.mean(held)),
        "nearer": float(farther.low <= distances[1] - distances[2] <= farther.high),
        "rejects": float(np.mean([one is not None and one < choices.alpha for one in p])),
        "family": float((below & null).any()) if null.any() else None,
        "same": float((said == SAME_FUNCTION).mean()),
        "another": float((said == ANOTHER_FUNCTION).mean()),
    }


def table(choices: AnalysisOptions, calibrate: Calibrated) -> Table:
    """Return what the truths of functions give."""
    simulations = max(2, calibrate.simulations // 4)
    lines = [
        measure_functions(
            truth,
            trials,
            choices,
            simulations=simulations,
            rng=stream(choices.seed, "calibration", truth.name, trials),
        )
        for truth in functions(choices.distance, max(2, calibrate.rows))
        for trials in calibrate.trials
        if trials > 2
    ]
    return Table(
        name="calibration-functions",
        title="How often the distance of functions says so",
        columns=[
            Column("Truth", "scenario", wide=True),
            Column("n", "n"),
            Column(f"{percent(choices.alpha)} interval", "covers", shown),
            Column("Nearer", "nearer", shown),
            Column(f"p < {choices.alpha:g}", "rejects", shown),
            Column("Holm, any", "family", shown),
            Column("Same", "same", shown),
            Column("Another", "another", shown),
        ],
        lines=lines,
        fields=[],
        notes=[
            f"{simulations} simulated tables a line. Interval: jackknife intervals that hold the true distance. Nearer:"
            " intervals of the difference of two rows' distances that hold it. p, Holm: as above, by the permutation"
            " test over runs without a common trial. Same, another: rows called the same function (interval below"
            f" {choices.distance:g}), or another one (p Holm below {choices.alpha:g})."
        ],
    )
