"""How often the report is right: its own functions on simulated tables whose truth is known.

A simulated table has one baseline and as many rows as a scenario has differences. A trial's error is the sum of a part
of its own and of a part that it shares with the other rows of the trial, as the same evaluation images give: the
shared part makes pairs correlate, and the noise floor, judged on the same images, takes it out as it does in a study.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hybridsep.report import verdicts
from hybridsep.report.comparison import correct_and_star, of_errors
from hybridsep.report.settings import AnalysisOptions, Calibrated
from hybridsep.report.table import MISSING, Column, Table, percent, tenth
from hybridsep.runs.seeds import stream
from hybridsep.statistics import noise
from hybridsep.statistics.many_to_one import simultaneous_intervals

Share = tuple[float, float]
LEVEL = 20.0
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


def scenarios(margin: float, rows: int) -> list[Scenario]:
    """Return the truths that the report is tried on; `margin` is that of the equivalence test."""
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


def simulate(
    scenario: Scenario, trials: int, choices: AnalysisOptions, *, spread: float, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Return the entries of one simulated table, as `compare` would make them; `many`: Dunnett finds a difference.

    `spread` is the standard deviation of the baseline's error over trials, in points.
    """
    draw = SHAPES[scenario.shape]
    own, shared = spread * np.sqrt(1 - scenario.correlation), spread * np.sqrt(scenario.correlation)
    images = shared * draw(rng, (trials,))
    baseline = LEVEL + own * draw(rng, (trials,))
    rows = LEVEL + own * scenario.spread * draw(rng, (len(scenario.differences), trials))
    rows += np.array(scenario.differences)[:, np.newaxis]
    entries = [
        {"is_baseline": False, "same_start": False}
        | of_errors(
            dict(enumerate((row + images).tolist())),
            dict(enumerate((baseline + images).tolist())),
            choices,
            bootstrap_rng=rng,
            permutation_rng=rng,
        )
        for row in rows
    ]
    floor = noise.noise_floor(
        baseline[:, np.newaxis] + images,
        same_images=choices.pairing == "paired",
        size=trials,
        groups=choices.groups,
        alpha=choices.alpha,
        rng=rng,
    )
    correct_and_star(entries, {trials: floor}, choices.alpha)
    for entry, (_, low, high) in zip(
        entries, simultaneous_intervals(list(rows + images), baseline + images, alpha=choices.alpha), strict=True
    ):
        entry["many"] = low > 0 or high < 0
    return entries


def measure(
    scenario: Scenario,
    trials: int,
    choices: AnalysisOptions,
    *,
    simulations: int,
    spread: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return how often each method was right or wrong over so many simulated tables, each a share with its error.

    A share is a pair (percent, Monte Carlo standard error), None where the method gave no answer. The error is that of
    the mean over tables, because the rows of one table have their baseline in common. `covers`, `welch`, `bootstrap`:
    intervals that hold the truth; `rejects`: tests with p below alpha, uncorrected (permutations; t where they are
    too few); `family`: tables with a row without a difference that Holm's p calls one, `many` that Dunnett's does;
    `same`: rows that TOST, corrected over the rows, calls equal; `wrong`: verdicts that say
    different where nothing differs or same at or beyond the margin; `undecided`: verdicts that say neither; `starred`:
    rows beyond the noise floor, of those that do not differ.
    """
    truth = np.array(scenario.differences)
    with _frozen():
        tables = [
            _judge(simulate(scenario, trials, choices, spread=spread, rng=rng), truth, choices)
            for _ in range(simulations)
        ]
    return {"scenario": scenario.name, "n": trials} | {
        name: share([table[name] for table in tables]) for name in tables[0]
    }


@contextlib.contextmanager
def _frozen() -> Iterator[None]:
    """Leave what is loaded out of garbage collections: statsmodels' Holm makes one at every call, of 0.1 s each."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _judge(entries: list[dict[str, Any]], truth: np.ndarray, choices: AnalysisOptions) -> dict[str, float | None]:
    """The shares of one table."""
    null = truth == 0
    said = np.array([verdicts.shows(entry, choices.alpha) for entry in entries])
    corrected = np.array([entry["p_holm"] < choices.alpha for entry in entries])
    beyond = np.abs(truth) >= choices.margin - _ROUNDING
    wrong = ((said == verdicts.DIFFERENT) & null) | ((said == verdicts.SAME) & beyond)
    stars = [entry["beyond_noise"] for entry, still in zip(entries, null, strict=True) if still]
    return {
        "covers": _covered(entries, truth, ""),
        "welch": _covered(entries, truth, "welch_"),
        "bootstrap": _covered(entries, truth, "bootstrap_"),
        "rejects": float(np.mean([entry["p"] < choices.alpha for entry in entries])),
        "family": float((corrected & null).any()) if null.any() else None,
        "many": float((np.array([entry["many"] for entry in entries]) & null).any()) if null.any() else None,
        "same": float((said == verdicts.SAME).mean()),
        "wrong": float(wrong.mean()),
        "undecided": float((said == verdicts.UNCLEAR).mean()),
        "starred": None if None in stars or not stars else float(np.mean(stars)),
    }


def _covered(entries: list[dict[str, Any]], truth: np.ndarray, kind: str) -> float | None:
    """Share of the intervals that hold the truth; None where one of them is not given."""
    bounds = [(entry[f"{kind}low"], entry[f"{kind}high"]) for entry in entries]
    if any(low is None for low, _ in bounds):
        return None
    return float(np.mean([low <= value <= high for (low, high), value in zip(bounds, truth, strict=True)]))


def share(values: list[float | None]) -> Share | None:
    """Return the mean of shares and its standard error, in percent; None when none is known."""
    known = np.array([value for value in values if value is not None])
    if not len(known):
        return None
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else 0.0
    return 100 * float(known.mean()), 100 * float(error)


def tables(choices: AnalysisOptions, calibrate: Calibrated) -> list[Table]:
    """Return what all scenarios give: a table of the intervals, and one of the tests, the verdict and the star."""
    choices = replace(choices, resamples=calibrate.resamples, groups=calibrate.resamples)
    lines = [
        measure(
            scenario,
            trials,
            choices,
            simulations=calibrate.simulations,
            spread=calibrate.spread,
            rng=stream(choices.seed, "calibration", scenario.name, trials),
        )
        for scenario in scenarios(choices.margin, calibrate.rows)
        for trials in calibrate.trials
    ]
    truth = [Column("Truth", "scenario", wide=True), Column("n", "n")]
    origin = (
        f"{calibrate.simulations} simulated tables a line, seed {choices.seed}: a baseline and {calibrate.rows} rows of"
        f" n trials, standard deviation {calibrate.spread:g} points. Percent ± Monte Carlo standard error; a 0.0 may be"
        f" as much as {min(100, 300 / calibrate.simulations):.2g} %."
    )
    paired = choices.pairing == "paired"
    return [
        Table(
            name="calibration-intervals",
            title=f"How often {percent(choices.alpha)} intervals hold the true difference",
            columns=[
                *truth,
                Column("Paired t" if paired else "Welch (unpaired)", "covers", shown),
                Column("BCa bootstrap", "bootstrap", shown),
                Column("Welch", "welch", shown),
            ],
            lines=lines,
            fields=[],
            notes=[origin],
        ),
        Table(
            name="calibration-tests",
            title=f"How often tests at level {choices.alpha:g}, the verdict and the star say so",
            columns=[
                *truth,
                Column(f"p < {choices.alpha:g}", "rejects", shown),
                Column("Holm, any", "family", shown),
                Column("Dunnett", "many", shown),
                Column("Same", "same", shown),
                Column("Undecided", "undecided", shown),
                Column("Wrong", "wrong", shown),
                Column("Star", "starred", shown),
            ],
            lines=lines,
            fields=[],
            notes=[
                f"p < {choices.alpha:g}: rows, permutation test, uncorrected (t where so few trials have no p"
                " below it). Holm, any: tables in which the corrected"
                " test finds a difference in a row that has none; Dunnett: the same of Dunnett's test."
                " Same, undecided: rows with that verdict (same: two"
                f" one-sided tests, margin ±{choices.margin:g}). Wrong: rows called different that do not differ, or"
                " the same that differ by the margin or more. Star: rows beyond the noise floor, of those that do not"
                f" differ; meant to be {100 * choices.alpha / 2:g} %.",
            ],
        ),
    ]


def shown(value: Share | None) -> str:
    return MISSING if value is None else f"{tenth(value[0])} ± {tenth(value[1])}"
