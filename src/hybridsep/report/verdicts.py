"""The rules that judge a claim of the paper (conf/paper.yaml): from a study's numbers to what they say of the claim.

A rule makes comparisons and looks at their intervals and tests, never at a point estimate alone: they reproduce the
claim, contradict it, or leave it inconclusive. Whatever the claim, rows come out the same, different or undecided.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybridsep.report import distances
from hybridsep.report.comparison import Comparison, samples_of
from hybridsep.report.distances import ANOTHER_FUNCTION, SAME_FUNCTION
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions, Claim
from hybridsep.report.speed import Measured
from hybridsep.report.table import interval, number
from hybridsep.statistics import difference

# One vocabulary for what these runs say of a claim and for what they say about the paper's numbers,
AS_CLAIMED, OPPOSED, UNDECIDED, NOT_RUN = "reproduced", "contradicted", "inconclusive", "not run"
# and one for what they show without a claim.
SAME, DIFFERENT, UNCLEAR = "same", "different", "undecided"
FASTER, SLOWER = "faster", "slower"

# Of one comparison: its `label`, `n` trials, and `mean`, `low`, `high`, `equivalent`, `p_holm` as in `compare`.
Entry = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A claim with what it is judged by: the study's tables by name, what was measured of speed, the margin."""

    claim: Claim
    tables: Mapping[str, tuple[RunSet, Comparison]]
    measured: Measured
    choices: AnalysisOptions

    @property
    def runset(self) -> RunSet:
        """The runs of the claim's table."""
        return self.tables[self.claim.table][0]

    @property
    def comparison(self) -> Comparison:
        """The numbers of the claim's table."""
        return self.tables[self.claim.table][1]

    @property
    def margin(self) -> float:
        """The claim's own margin, else the report's."""
        return self.choices.margin if self.claim.margin is None else self.claim.margin


@dataclass(frozen=True)
class Rule:
    """What a rule compares, and what the comparison says of the claim; `text` explains it to readers."""

    compare: Callable[[Case], list[Entry]]
    outcome: Callable[[Entry, Case], str]
    text: str


@dataclass(frozen=True)
class Finding:
    """One comparison that a claim rests on: what was measured, on how many trials, and what it says of the claim.

    `shows` is what was compared under `label`, whatever the paper claims: SAME, DIFFERENT or UNCLEAR; of speed FASTER
    or SLOWER.
    """

    text: str
    n: int
    outcome: str
    label: str
    shows: str


def find(case: Case) -> list[Finding]:
    """Return what the comparisons of a claim's rule say."""
    rule = RULES[case.claim.rule]
    return [
        Finding(
            text=f"{entry['label']} {entry.get('text') or _points(entry)}",
            n=entry["n"],
            outcome=rule.outcome(entry, case) if entry["n"] else NOT_RUN,
            label=entry["label"],
            shows=entry.get("shows") or shows(entry, case.choices.alpha),
        )
        for entry in rule.compare(case)
    ]


def judge(outcomes: Sequence[str]) -> str:
    """Return the outcome of a claim: all its comparisons must be reproduced, one may contradict it."""
    if not outcomes or NOT_RUN in outcomes:
        return NOT_RUN
    if OPPOSED in outcomes:
        return OPPOSED
    return AS_CLAIMED if set(outcomes) == {AS_CLAIMED} else UNDECIDED


def shows(entry: Entry, alpha: float) -> str:
    """Return what a comparison shows: the same within the margin (TOST), different, or neither.

    Different: the test, corrected over the rows where there are several, has p below alpha; without a test, the
    interval excludes zero. What differs and is yet within the margin is the same: the margin says what counts.
    """
    if entry.get("equivalent"):
        return SAME
    if "p_holm" in entry:
        return DIFFERENT if entry["p_holm"] is not None and entry["p_holm"] < alpha else UNCLEAR
    return UNCLEAR if by_sign(entry) == UNDECIDED else DIFFERENT


def by_sign(entry: Entry) -> str:
    """Reproduced when the interval lies above zero, contradicted when below."""
    if entry.get("low") is None:
        return UNDECIDED
    return AS_CLAIMED if entry["low"] > 0 else OPPOSED if entry["high"] < 0 else UNDECIDED


def by_equivalence(entry: Entry, margin: float) -> str:
    """Reproduced when equivalence is shown (TOST), contradicted when the whole interval lies beyond the margin."""
    if entry["equivalent"]:
        return AS_CLAIMED
    if entry["low"] is not None and (entry["low"] > margin or entry["high"] < -margin):
        return OPPOSED
    return UNDECIDED


def by_difference(entry: Entry, alpha: float) -> str:
    """Reproduced when the corrected p is below alpha and equivalence is not shown, contradicted when it is shown."""
    if entry["equivalent"]:
        return OPPOSED
    return AS_CLAIMED if entry["p_holm"] is not None and entry["p_holm"] < alpha else UNDECIDED


def by_function(entry: Entry, margin: float) -> str:
    """Judge that two rows are the same: by their error where it decides against it, else by the distance of functions.

    Contradicted when the whole interval of the error is beyond the margin, or the distance shows another function;
    reproduced when it shows the same one. Where the distance shows neither, by the error.
    """
    error = by_equivalence(entry, margin)
    if OPPOSED == error or entry["function"] == ANOTHER_FUNCTION:
        return OPPOSED
    return AS_CLAIMED if entry["function"] == SAME_FUNCTION else error


def _points(entry: Entry) -> str:
    return f"{number(entry['mean'], sign=True)} {interval(entry['low'], entry['high'])}"


def _bounds(interval: difference.Interval) -> Entry:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def _missing(label: str, text: str) -> Entry:
    return {"label": label, "n": 0, "text": text}


def _against_baseline(case: Case) -> list[Entry]:
    """The rows against the table's baseline, with equivalence within the claim's own margin."""
    runset, comparison, choices = case.runset, case.comparison, case.choices
    entries = []
    for row in case.claim.rows:
        if row not in runset.rows or not runset.paired(row):
            entries.append(_missing(row, "no trials"))
            continue
        entry = {**comparison.of(row), "n": comparison.of(row)["pairs"], "function": ""}
        if case.margin != choices.margin:
            samples, _ = samples_of(runset.errors(row), runset.errors(runset.baseline), choices.pairing)
            entry["equivalent"] = difference.equivalence(samples, case.margin, choices.alpha).equivalent
        known = comparison.distances.rows.get(row) if comparison.distances else None
        if known and known.distance.value is not None:
            own = known.distance
            error = shows(entry, choices.alpha)
            entry |= {
                "function": known.shows,
                "shows": error if known.shows == distances.UNCLEAR else f"{error}, {known.shows}",
                "text": f"{_points(entry)}, distance {number(own.value, 3)} {distances.bounds(own.low, own.high)}",
            }
        entries.append(entry)
    return entries


def _pairwise(case: Case, pairs: Sequence[tuple[str, str]], values: Callable[[str], dict[int, float]]) -> list[Entry]:
    """`values(other) - values(row)` over the trials that both have, with a paired t interval and TOST."""
    entries, alpha = [], case.choices.alpha
    for row, other in pairs:
        first, second = (values(name) if name in case.runset.rows else {} for name in (row, other))
        gains = np.array([second[trial] - first[trial] for trial in first if trial in second])
        if not len(gains):
            entries.append(_missing(f"{row} and {other}", "no trials in common"))
            continue
        equivalent = difference.equivalence((gains,), case.margin, alpha).equivalent
        label = case.runset.row(other).label or other
        entry = _bounds(difference.paired_interval(gains, alpha))
        entries.append({**entry, "label": label, "n": len(gains), "equivalent": equivalent, "gains": gains})
    return entries


def _every_pair(case: Case) -> list[tuple[str, str]]:
    return [(row, other) for row in case.claim.rows for other in case.claim.against]


def _distances(case: Case) -> list[Entry]:
    """|d| of the others from the baseline, less that of the rows, trial by trial."""
    runset = case.runset

    def distance(row: str) -> dict[int, float]:
        errors, baseline = runset.errors(row), runset.errors(runset.baseline)
        return {trial: abs(errors[trial] - baseline[trial]) for trial in errors if trial in baseline}

    if runset.baseline not in runset.rows:
        return [_missing("baseline", "not there")]
    return _pairwise(case, _every_pair(case), distance)


def _function_distances(case: Case) -> list[Entry]:
    """How much farther the others are from the baseline than the rows, as functions."""
    found = case.comparison.distances
    entries = []
    for row, other in _every_pair(case):
        if found is None or not {row, other} <= found.runs.keys():
            entries.append(_missing(f"{row} and {other}", "no predictions to compare"))
            continue
        farther = found.farther(other, row, case.choices.alpha)
        label = case.runset.row(other).label or other
        trials = len(set(found.runs[row].trials) & set(found.runs[other].trials))
        text = f"{number(farther.mean, 3, sign=True)} {distances.bounds(farther.low, farther.high)}"
        entries.append({**_bounds(farther), "label": label, "n": trials, "text": text})
    return entries


def _errors(case: Case) -> list[Entry]:
    """The test error of the others, less that of the rows."""
    return _pairwise(case, _every_pair(case), case.runset.errors)


def _errors_one_by_one(case: Case) -> list[Entry]:
    """The test error of each row's counterpart, less that of the row."""
    return _pairwise(case, list(zip(case.claim.rows, case.claim.against, strict=True)), case.runset.errors)


def _gains(case: Case) -> list[Entry]:
    """A difference of differences: the gain of one pair of rows, less that of a pair of another table."""
    (row, other), (there, other_there) = case.claim.rows, case.claim.against
    gains = []
    for first, second in ((row, other), (there, other_there)):
        holding = next((runset for runset, _ in case.tables.values() if {first, second} <= set(runset.rows)), None)
        errors = [holding.errors(name) if holding else {} for name in (first, second)]
        both = errors[0].keys() & errors[1].keys()
        if not both:
            return [_missing(f"{first} and {second}", "no trials in common in this study")]
        gains.append(np.array([errors[1][trial] - errors[0][trial] for trial in sorted(both)]))
    entry = _bounds(difference.welch_interval(gains[0], gains[1], case.choices.alpha))
    equivalent = difference.equivalence(tuple(gains), case.margin, case.choices.alpha).equivalent
    return [{**entry, "label": "gain", "n": min(map(len, gains)), "equivalent": equivalent}]


def _speeds(case: Case) -> list[Entry]:
    """Images per second of the rows by those of the others, in training and inference: the logarithm of the ratio.

    Timed blocks of one row and of another ran at different times, so they are not pairs: Welch's interval.
    """
    entries = []
    for row, other in _every_pair(case):
        first, second = case.measured.blocks(row), case.measured.blocks(other)
        label = case.measured.label(other)
        if not first.keys() & second.keys():
            entries.append(
                _missing(f"{case.measured.label(row)} and {label}", "not timed, block by block, in this study")
            )
        for what in (what for what in first if what in second):
            logs = np.log(first[what]), np.log(second[what])
            entry = _bounds(difference.welch_interval(*logs, case.choices.alpha))
            if entry["low"] is None and min(map(len, logs)) > 1:
                entry |= {"low": entry["mean"], "high": entry["mean"]}  # not one block differs from another
            ratio, low, high = (
                None if entry[key] is None else float(np.exp(entry[key])) for key in ("mean", "low", "high")
            )
            bounds = f" [{number(low)}, {number(high)}]" if low is not None else ""
            entry |= {"label": f"{label} ({what})", "n": min(map(len, logs)), "text": f"x {number(ratio)}{bounds}"}
            seen = {AS_CLAIMED: FASTER, OPPOSED: SLOWER, UNDECIDED: UNCLEAR}[by_sign(entry)]
            entries.append(entry | {"shows": seen})
    return entries


def _sign(entry: Entry, case: Case) -> str:
    return by_sign(entry)


def _equivalence(entry: Entry, case: Case) -> str:
    return by_equivalence(entry, case.margin)


def _difference(entry: Entry, case: Case) -> str:
    outcome = by_difference(entry, case.choices.alpha)
    return AS_CLAIMED if outcome == UNDECIDED and entry["function"] == ANOTHER_FUNCTION else outcome


def _function(entry: Entry, case: Case) -> str:
    return by_function(entry, case.margin)


_SAME_TEXT = "two one-sided tests within ±{margin:g} points; contradicted when the whole interval is beyond"
RULES = {
    "equivalent": Rule(_against_baseline, _equivalence, _SAME_TEXT),
    "different": Rule(
        _against_baseline,
        _difference,
        "Holm p < {alpha:g} and not equivalent within ±{margin:g}; where neither is shown, by the distance of"
        " functions, Holm p < {alpha:g}; contradicted when equivalent",
    ),
    "same_function": Rule(
        _against_baseline,
        _function,
        "the interval of the distance of functions ends below {distance:g} and its Holm p is not below {alpha:g};"
        " contradicted when it is, or when the whole interval of the error is beyond ±{margin:g} points; else by two"
        " one-sided tests",
    ),
    "nearer": Rule(
        _function_distances, _sign, "interval of distance other - distance row above 0; contradicted when below"
    ),
    "closer": Rule(_distances, _sign, "interval of |d other| - |d row| above 0; contradicted when below"),
    "lower_error": Rule(_errors, _sign, "interval of error other - error row above 0; contradicted when below"),
    "same_error": Rule(_errors_one_by_one, _equivalence, _SAME_TEXT),
    "greater_gain": Rule(_gains, _sign, "interval of the difference of the two gains above 0; contradicted when below"),
    "faster": Rule(_speeds, _sign, "interval of the speed ratio above 1; contradicted when below"),
}
