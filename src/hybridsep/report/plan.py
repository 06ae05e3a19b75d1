"""`plan`: the trials that would settle what a study leaves open, their hours, and the noise that theory predicts.

The statistics are those of `hybridsep.statistics.power`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from hybridsep.report.comparison import samples_of
from hybridsep.report.runset import RunSet, Subset
from hybridsep.report.settings import AnalysisOptions, PlanOptions
from hybridsep.report.table import Column, Table, build, duration, number, percent
from hybridsep.statistics import noise, power
from hybridsep.statistics.many_to_one import pooled_spread

# The spread of two trials says next to nothing: its 95 % interval ends at 32 times of it.
MIN_TRIALS = 3
TOO_FEW, NO_SPREAD = "too few", "no spread"


@dataclass(frozen=True)
class Goal:
    """A question as a column names it: `power_of(spread, trials)` is to be at least `power`."""

    name: str
    power_of: Callable[[float, int], float]
    power: float


@dataclass(frozen=True)
class RowPlan:
    """A row's spread as text, the trials for each goal that can be reached, by its name, and a cell for every goal."""

    row: str
    label: str
    n: int | None
    spread: str
    trials: dict[str, int]
    cells: dict[str, str]


def can_be_planned(runset: RunSet) -> bool:
    """Return whether some row has two trials that the baseline has finished too: fewer have no spread."""
    return any(len(runset.paired(row)) > 1 for row in runset.variants)


def needed(runset: RunSet, options: AnalysisOptions, plan: PlanOptions) -> Table:
    """Return the trials, and the hours of those not made yet, that tell each row from the baseline or show it equal."""
    goals = _goals(options, plan)
    lines = [_row(runset, row, goals, options) for row in runset.variants]
    together = {goal.name: _together(runset, lines, goal) for goal in goals}
    level = f"{options.alpha:g}"
    columns: list[Column[RowPlan]] = [
        Column("Row", lambda row: row.label, wide=True),
        Column("n", lambda row: row.n),
        Column(f"Spread [{percent(options.alpha)}]", lambda row: row.spread),
        *map(_goal, goals),
    ]
    return build(
        f"{runset.table}-plan",
        f"{runset.short_title}: trials that would settle it, and the time of those not made yet",
        columns,
        [*lines, RowPlan("", "All together", None, "", {}, together)],
        notes=[
            "n: trials that the row and the baseline have both finished. Spread: standard deviation over them of the"
            f" difference in test error, in points, with its {percent(options.alpha)} interval (chi-square)."
            f" {TOO_FEW.capitalize()}: below {MIN_TRIALS} trials.",
            f"{plan.difference:g} at P %: trials with which a paired t test (two-sided, level {level}) tells a true"
            f" difference of {plan.difference:g} points from 0 in P % of studies. ±{options.margin:g} at P %: trials"
            f" with which two one-sided t tests (level {level}) show a row that truly equals the baseline to be within"
            f" {options.margin:g} points of it. Exact for normal differences of the spread measured; the trials grow"
            " with its square, so its interval tells how rough they are.",
            "Time: the trials of the row and of the baseline that are not there yet, in one process, at the median"
            " time of a finished one. All: each row's own trials, and the baseline's once.",
        ],
    )


@dataclass(frozen=True)
class _Pooled:
    """The spread of a trial within rows, pooled over `rows` rows of `trials` trials, and the trials for each goal."""

    rows: int
    trials: int
    spread: float
    cells: dict[str, str]


def pooled(runsets: Sequence[RunSet], options: AnalysisOptions, plan: PlanOptions) -> Table | None:
    """Return the trials that any row of a study takes, by one spread of all of them; None where no row has enough.

    A row is not its own start: a difference of two rows of unlike seeds has the spread of a trial times sqrt(2).
    """
    samples = {
        row: np.array(list(one.errors(row, Subset("all", one.images)).values()))
        for one in runsets
        if not one.own_images
        for row in one.rows
    }
    enough = [sample for sample in samples.values() if len(sample) >= MIN_TRIALS]
    spread = pooled_spread(enough)[0] if enough else 0.0
    if spread < 1e-9:
        return None
    goals, cells = _goals(options, plan), {}
    for goal in goals:
        count = power.trials_for(partial(goal.power_of, spread * math.sqrt(2)), goal.power)
        cells[goal.name] = f"> {power.MOST_TRIALS:,}" if count is None else f"{count:,}"

    def column(goal: str) -> Column[_Pooled]:
        return Column[_Pooled](goal, lambda line: line.cells[goal])

    columns: list[Column[_Pooled]] = [
        Column("Rows", lambda line: line.rows),
        Column("Trials", lambda line: line.trials),
        Column("Spread of a trial", lambda line: line.spread, number),
        Column("of a difference", lambda line: line.spread * math.sqrt(2), number),
        *(column(goal.name) for goal in goals),
    ]
    return build(
        "pooled-plan",
        f"Study {runsets[0].study}: trials that a row takes, by the spread of all rows together",
        columns,
        [_Pooled(len(enough), sum(map(len, enough)), spread, cells)],
        notes=[
            "Spread of a trial: standard deviation of the error on all test images over the trials of a row, pooled"
            f" over the rows of {MIN_TRIALS} trials or more; of a difference of two rows of unlike seeds: sqrt(2)"
            " times it, with the goals of the tables above.",
        ],
    )


def _goal(goal: Goal) -> Column[RowPlan]:
    return Column[RowPlan](goal.name, lambda row: row.cells[goal.name])


def _goals(options: AnalysisOptions, plan: PlanOptions) -> list[Goal]:
    def detect(spread: float, trials: int) -> float:
        return power.detection_power(spread, plan.difference, trials, options.alpha)

    def equal(spread: float, trials: int) -> float:
        return power.equivalence_power(spread, options.margin, trials, options.alpha)

    questions = ((f"{plan.difference:g}", detect), (f"±{options.margin:g}", equal))
    return [Goal(f"{name} at {100 * power:g} %", ask, power) for name, ask in questions for power in plan.powers]


def _row(runset: RunSet, row: str, goals: list[Goal], options: AnalysisOptions) -> RowPlan:
    baseline = runset.errors(runset.baseline) if runset.baseline in runset.rows else {}
    _, differences = samples_of(runset.errors(row), baseline, "paired")
    spread = float(differences.std(ddof=1)) if len(differences) >= MIN_TRIALS else None
    if spread is None or spread < 1e-9:
        reason = TOO_FEW if spread is None else NO_SPREAD
        return RowPlan(row, runset.label(row), len(differences), reason, {}, {goal.name: "" for goal in goals})
    trials, cells = {}, {}
    for goal in goals:
        count = power.trials_for(partial(goal.power_of, spread), goal.power)
        if count is None:
            cells[goal.name] = f"> {power.MOST_TRIALS:,}"
            continue
        trials[goal.name] = count
        cells[goal.name] = f"{count:,}: {duration(_hours(runset, {row: count, runset.baseline: count}))}"
    low, high = power.spread_interval(differences, options.alpha)
    return RowPlan(row, runset.label(row), len(differences), _with_interval(spread, low, high), trials, cells)


def _together(runset: RunSet, rows: list[RowPlan], goal: Goal) -> str:
    trials = {row.row: row.trials[goal.name] for row in rows if goal.name in row.trials}
    if not trials:
        return ""
    return duration(_hours(runset, trials | {runset.baseline: max(trials.values())}))


def _hours(runset: RunSet, trials: dict[str, int]) -> float | None:
    """Hours until each row has so many trials; None where the records do not tell how long one takes."""
    missing = {row: count - len(runset.runs[row]) for row, count in trials.items()}
    total = 0.0
    for row, count in missing.items():
        if count > 0:
            seconds = runset.seconds(row)
            if seconds is None:
                return None
            total += count * seconds
    return total / 3600


def _with_interval(value: float, low: float, high: float) -> str:
    return f"{number(value)} [{number(low)}, {number(high)}]"


@dataclass(frozen=True)
class _Noise:
    """What the seed alone does to a row, as text: measured and predicted."""

    label: str
    n: int
    spread: str = TOO_FEW
    predicted: str = TOO_FEW
    same: str = TOO_FEW
    own: str = TOO_FEW


def predicted(runset: RunSet, options: AnalysisOptions) -> Table:
    """Return how far trials of one row are apart, as measured and as independent errors on every image predict it."""
    lines = []
    for row in runset.rows:
        wrong, images = runset.wrong(row)
        line = _Noise(runset.label(row), len(runset.runs[row]))
        if len(wrong) >= MIN_TRIALS:
            theory, cross = power.independent_errors(wrong, images=images), runset.cross_errors(row)
            same, own = (noise.pair_differences(cross, same_images=way).mean() for way in (True, False))
            line = replace(
                line,
                spread=_with_interval(theory.measured, *power.spread_interval(100 * wrong.mean(axis=1), options.alpha)),
                predicted=number(theory.predicted),
                same=f"{number(float(same))} ({number(theory.same)})",
                own=f"{number(float(own))} ({number(theory.own)})",
            )
        lines.append(line)
    of_all = "all test images" if runset.subset.mode == "paper" else "the images that count"
    columns: list[Column[_Noise]] = [
        Column("Row", lambda row: row.label, wide=True),
        Column("n", lambda row: row.n),
        Column(f"Spread [{percent(options.alpha)}]", lambda row: row.spread),
        Column("predicted", lambda row: row.predicted),
        Column("|d|, same images", lambda row: row.same),
        Column("|d|, own images", lambda row: row.own),
    ]
    return build(
        f"{runset.table}-predicted",
        f"{runset.short_title}: what the seed alone does, measured and predicted (points)",
        columns,
        lines,
        notes=[
            f"Spread: standard deviation of the error on {of_all} over the n trials of a row. |d|: mean absolute"
            " difference of two of its trials (the noise floor, in the baseline's line), both judged on the same test"
            " images, or each on its own; in brackets as predicted.",
            "Predicted: if the trials of a row err independently on every image, each with the image's own share of"
            " trials that have it wrong (Jordan, arXiv 2304.01910); |d| is then 2 s / sqrt(pi).",
        ],
    )
