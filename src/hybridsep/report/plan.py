"""`plan`: the trials that would settle what a study leaves open, their hours, and the noise that theory predicts.

The statistics are those of `hybridsep.statistics.power`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hybridsep.report.comparison import samples_of
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions, Planned
from hybridsep.report.table import Column, Table, duration, number, percent
from hybridsep.statistics import noise, power

# The spread of two trials says next to nothing: its 95 % interval ends at 32 times of it.
MIN_TRIALS = 3
TOO_FEW, NO_SPREAD = "too few", "no spread"


@dataclass(frozen=True)
class Goal:
    """A question as a column names it: `power_of(spread, trials)` is to be at least `power`."""

    name: str
    power_of: Callable[[float, int], float]
    power: float


def can_be_planned(runset: RunSet) -> bool:
    """Return whether some row has two trials that the baseline has finished too: fewer have no spread."""
    return any(len(runset.paired(row)) > 1 for row in runset.variants)


def needed(runset: RunSet, choices: AnalysisOptions, planned: Planned) -> Table:
    """Return the trials, and the hours of those not made yet, that tell each row from the baseline or show it equal."""
    goals = _goals(choices, planned)
    lines = [_row(runset, row, goals, choices) for row in runset.variants]
    together = {"label": "All together", "n": "", "spread": ""}
    together |= {goal.name: _together(runset, lines, goal) for goal in goals}
    level = f"{choices.alpha:g}"
    return Table(
        name=f"{runset.table}-plan",
        title=f"{runset.short_title}: trials that would settle it, and the time of those not made yet",
        columns=[
            Column("Row", "label", wide=True),
            Column("n", "n"),
            Column(f"Spread [{percent(choices.alpha)}]", ("spread", "low", "high"), _with_interval),
            *(Column(goal.name, goal.name) for goal in goals),
        ],
        lines=[*lines, together],
        fields=[],
        notes=[
            "n: trials that the row and the baseline have both finished. Spread: standard deviation over them of the"
            f" difference in test error, in points, with its {percent(choices.alpha)} interval (chi-square)."
            f" {TOO_FEW.capitalize()}: below {MIN_TRIALS} trials.",
            f"{planned.difference:g} at P %: trials with which a paired t test (two-sided, level {level}) tells a true"
            f" difference of {planned.difference:g} points from 0 in P % of studies. ±{choices.margin:g} at P %: trials"
            f" with which two one-sided t tests (level {level}) show a row that truly equals the baseline to be within"
            f" {choices.margin:g} points of it. Exact for normal differences of the spread measured; the trials grow"
            " with its square, so its interval tells how rough they are.",
            "Time: the trials of the row and of the baseline that are not there yet, in one process, at the median"
            " time of a finished one. All: each row's own trials, and the baseline's once.",
        ],
    )


def _goals(choices: AnalysisOptions, planned: Planned) -> list[Goal]:
    def detect(spread: float, trials: int) -> float:
        return power.detection_power(spread, planned.difference, trials, choices.alpha)

    def equal(spread: float, trials: int) -> float:
        return power.equivalence_power(spread, choices.margin, trials, choices.alpha)

    questions = ((f"{planned.difference:g}", detect), (f"±{choices.margin:g}", equal))
    return [Goal(f"{name} at {100 * power:g} %", ask, power) for name, ask in questions for power in planned.powers]


def _row(runset: RunSet, row: str, goals: list[Goal], choices: AnalysisOptions) -> dict[str, Any]:
    """One line; `trials` has the number for each goal that can be reached."""
    baseline = runset.errors(runset.baseline) if runset.baseline in runset.rows else {}
    _, differences = samples_of(runset.errors(row), baseline, "paired")
    line: dict[str, Any] = {"row": row, "label": runset.row(row).label or row, "n": len(differences), "trials": {}}
    spread = float(differences.std(ddof=1)) if len(differences) >= MIN_TRIALS else None
    if spread is None or spread < 1e-9:
        why = {"spread": TOO_FEW if spread is None else NO_SPREAD, "low": None, "high": None}
        return line | why | {goal.name: "" for goal in goals}
    low, high = power.spread_interval(differences, choices.alpha)
    line |= {"spread": spread, "low": low, "high": high}
    for goal in goals:
        trials = power.trials_for(partial(goal.power_of, spread), goal.power)
        if trials is None:
            line[goal.name] = f"> {power.MOST_TRIALS:,}"
            continue
        line["trials"][goal.name] = trials
        hours = duration(_hours(runset, {row: trials, runset.baseline: trials}))
        line[goal.name] = f"{trials:,}: {hours}"
    return line


def _together(runset: RunSet, lines: list[dict[str, Any]], goal: Goal) -> str:
    trials = {line["row"]: line["trials"][goal.name] for line in lines if goal.name in line["trials"]}
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


def predicted(runset: RunSet, choices: AnalysisOptions) -> Table:
    """Return how far trials of one row are apart, as measured and as independent errors on every image predict it."""
    lines = []
    for row in runset.rows:
        wrong, images = runset.wrong(row)
        line: dict[str, Any] = {"label": runset.row(row).label or row, "n": len(runset.runs[row])}
        if len(wrong) < MIN_TRIALS:
            lines.append(line | dict.fromkeys(("measured", "low", "high", "expected", "same", "own"), TOO_FEW))
            continue
        theory = power.independent_errors(wrong, images=images)
        low, high = power.spread_interval(100 * wrong.mean(axis=1), choices.alpha)
        line |= {"measured": theory.measured, "low": low, "high": high, "expected": theory.predicted}
        cross = runset.cross_errors(row)
        for way in ("same", "own"):
            measured = float(noise.pair_differences(cross, same_images=way == "same").mean())
            line[way] = f"{number(measured)} ({number(getattr(theory, way))})"
        lines.append(line)
    of_all = "all test images" if runset.subset.mode == "paper" else "the images that count"
    return Table(
        name=f"{runset.table}-predicted",
        title=f"{runset.short_title}: what the seed alone does, measured and predicted (points)",
        columns=[
            Column("Row", "label", wide=True),
            Column("n", "n"),
            Column(f"Spread [{percent(choices.alpha)}]", ("measured", "low", "high"), _with_interval),
            Column("predicted", "expected", number),
            Column("|d|, same images", "same"),
            Column("|d|, own images", "own"),
        ],
        lines=lines,
        fields=[],
        notes=[
            f"Spread: standard deviation of the error on {of_all} over the n trials of a row. |d|: mean absolute"
            " difference of two of its trials (the noise floor, in the baseline's line), both judged on the same test"
            " images, or each on its own; in brackets as predicted.",
            "Predicted: if the trials of a row err independently on every image, each with the image's own share of"
            " trials that have it wrong (Jordan, arXiv 2304.01910); |d| is then 2 s / sqrt(pi).",
        ],
    )
