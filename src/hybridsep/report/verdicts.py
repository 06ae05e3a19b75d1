"""The rules that judge a claim of the paper (conf/paper.yaml): from a runset's numbers to what they say of the claim.

A rule looks at intervals and tests, never at a point estimate alone: they reproduce the
claim, contradict it, or leave it inconclusive.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybridsep.report import difference, heading
from hybridsep.report.compare import Comparison
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions, Claim
from hybridsep.report.table import interval, number

# One vocabulary for what these runs say and for what they say about the paper.
AS_CLAIMED, OPPOSED, UNDECIDED, NOT_RUN = "reproduced", "contradicted", "inconclusive", "not run"


@dataclass(frozen=True)
class Finding:
    """One comparison that a claim rests on: what was measured, on how many trials, and what it says of the claim."""

    text: str
    n: int
    outcome: str


Rule = Callable[[RunSet, Comparison, Claim, AnalysisOptions], list[Finding]]


def judge(outcomes: Sequence[str]) -> str:
    """Return the outcome of a claim: all its comparisons must be reproduced, one may contradict it."""
    if not outcomes or NOT_RUN in outcomes:
        return NOT_RUN
    if OPPOSED in outcomes:
        return OPPOSED
    return AS_CLAIMED if set(outcomes) == {AS_CLAIMED} else UNDECIDED


def by_sign(low: float | None, high: float | None) -> str:
    """Reproduced when the interval lies above zero, contradicted when below."""
    if low is None or high is None:
        return UNDECIDED
    return AS_CLAIMED if low > 0 else OPPOSED if high < 0 else UNDECIDED


def by_equivalence(entry: dict[str, Any], margin: float) -> str:
    """Reproduced when equivalence is shown (TOST), contradicted when the whole interval lies beyond the margin."""
    if entry["equivalent"]:
        return AS_CLAIMED
    if entry["low"] is not None and (entry["low"] > margin or entry["high"] < -margin):
        return OPPOSED
    return UNDECIDED


def by_difference(entry: dict[str, Any], alpha: float) -> str:
    """Reproduced when the corrected p is below alpha and equivalence is not shown, contradicted when it is shown."""
    if entry["equivalent"]:
        return OPPOSED
    return AS_CLAIMED if entry["p_holm"] is not None and entry["p_holm"] < alpha else UNDECIDED


def _signed(label: str, entry: dict[str, Any], unit: str = "") -> str:
    return f"{label} {number(entry['mean'], sign=True)} {interval(entry['low'], entry['high'])}{unit}"


def _against_baseline(
    runset: RunSet, comparison: Comparison, claim: Claim, outcome: Callable[[dict[str, Any]], str]
) -> list[Finding]:
    findings = []
    for row in claim.rows:
        if row not in runset.rows or not runset.paired(row):
            findings.append(Finding(f"{row}: no trials", 0, NOT_RUN))
            continue
        entry = comparison.of(row)
        findings.append(Finding(_signed(entry["label"], entry), entry["pairs"], outcome(entry)))
    return findings


def equivalent(runset: RunSet, comparison: Comparison, claim: Claim, choices: AnalysisOptions) -> list[Finding]:
    """The rows equal the table's baseline within the margin."""
    return _against_baseline(runset, comparison, claim, lambda entry: by_equivalence(entry, choices.margin))


def different(runset: RunSet, comparison: Comparison, claim: Claim, choices: AnalysisOptions) -> list[Finding]:
    """The rows differ from the table's baseline."""
    return _against_baseline(runset, comparison, claim, lambda entry: by_difference(entry, choices.alpha))


def _pairwise(
    runset: RunSet,
    pairs: Sequence[tuple[str, str]],
    values: Callable[[str], dict[int, float]],
    choices: AnalysisOptions,
    outcome: Callable[[np.ndarray, dict[str, Any]], str],
    show: Callable[[dict[str, Any]], str],
) -> list[Finding]:
    """Judge `values(other) - values(row)` over the trials that both have, with a paired t interval."""
    findings = []
    for row, other in pairs:
        first, second = (values(name) if name in runset.rows else {} for name in (row, other))
        both = [trial for trial in first if trial in second]
        if not both:
            findings.append(Finding(f"{row} and {other}: no trials in common", 0, NOT_RUN))
            continue
        gains = np.array([second[trial] - first[trial] for trial in both])
        entry = difference.paired_interval(gains, choices.alpha)
        label = runset.row(other).label or other
        findings.append(Finding(f"{label}: {show(entry)}", len(both), outcome(gains, entry)))
    return findings


def _points(entry: dict[str, Any]) -> str:
    return f"{number(entry['mean'], sign=True)} {interval(entry['low'], entry['high'])}"


def closer(runset: RunSet, comparison: Comparison, claim: Claim, choices: AnalysisOptions) -> list[Finding]:
    """|d| of the rows is smaller than that of the others, trial by trial."""

    def distance(row: str) -> dict[int, float]:
        errors, baseline = runset.errors(row), runset.errors(runset.baseline)
        return {trial: abs(errors[trial] - baseline[trial]) for trial in errors if trial in baseline}

    if runset.baseline not in runset.rows:
        return [Finding("no baseline", 0, NOT_RUN)]
    pairs = [(row, other) for row in claim.rows for other in claim.against]
    return _pairwise(runset, pairs, distance, choices, lambda _, entry: by_sign(entry["low"], entry["high"]), _points)


def lower_error(runset: RunSet, comparison: Comparison, claim: Claim, choices: AnalysisOptions) -> list[Finding]:
    """The test error of the rows is lower than that of the others."""
    pairs = [(row, other) for row in claim.rows for other in claim.against]
    return _pairwise(
        runset, pairs, runset.errors, choices, lambda _, entry: by_sign(entry["low"], entry["high"]), _points
    )


def same_error(runset: RunSet, comparison: Comparison, claim: Claim, choices: AnalysisOptions) -> list[Finding]:
    """The test errors of each row and its counterpart are equal within the margin."""

    def outcome(gains: np.ndarray, entry: dict[str, Any]) -> str:
        shown = difference.equivalence((gains,), choices.margin, choices.alpha)["equivalent"]
        return by_equivalence({**entry, "equivalent": shown}, choices.margin)

    pairs = list(zip(claim.rows, claim.against, strict=True))
    return _pairwise(runset, pairs, runset.errors, choices, outcome, _points)


def faster(runset: RunSet, comparison: Comparison, claim: Claim, choices: AnalysisOptions) -> list[Finding]:
    """The rows train more images per second than the others: intervals of the logarithm of the ratio over trials."""

    def speed(row: str) -> dict[int, float]:
        speeds = {
            trial: run.record["timings"].get("train_images_per_second") for trial, run in runset.runs[row].items()
        }
        return {trial: -float(np.log(value)) for trial, value in speeds.items() if value and value > 0}

    def outcome(gains: np.ndarray, entry: dict[str, Any]) -> str:
        if len(gains) > 1 and np.ptp(gains) < 1e-9:
            return by_sign(gains[0], gains[0])
        return by_sign(entry["low"], entry["high"])

    def show(entry: dict[str, Any]) -> str:
        low, high = (None if entry[key] is None else float(np.exp(entry[key])) for key in ("low", "high"))
        bounds = f" [{number(low)}, {number(high)}]" if low is not None else ""
        return f"x {number(float(np.exp(entry['mean'])))}{bounds}"

    machines = heading.machines(run for row in runset.rows for run in runset.runs[row].values())
    if ";" in machines:
        return [Finding(f"several machines ({machines})", 0, UNDECIDED)]
    pairs = [(row, other) for row in claim.rows for other in claim.against]
    return _pairwise(runset, pairs, speed, choices, outcome, show)


RULES: dict[str, tuple[Rule, str]] = {
    "equivalent": (
        equivalent,
        "two one-sided tests within ±{margin:g} points; contradicted when the whole interval is beyond",
    ),
    "different": (different, "Holm p < {alpha:g} and not equivalent within ±{margin:g}; contradicted when equivalent"),
    "closer": (closer, "interval of |d other| - |d row| above 0; contradicted when below"),
    "lower_error": (lower_error, "interval of error other - error row above 0; contradicted when below"),
    "same_error": (
        same_error,
        "two one-sided tests within ±{margin:g} points; contradicted when the whole interval is beyond",
    ),
    "faster": (faster, "interval of the speed ratio above 1; contradicted when below"),
}
