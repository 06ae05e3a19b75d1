"""The rules that judge a claim of `conf/report/paper.yaml`: from a study's numbers to what they say of the claim.

A rule makes comparisons and looks at their intervals and tests, never at a point estimate alone: they reproduce the
claim, contradict it, or leave it inconclusive. One of them may contradict it, so tests are corrected over the
comparisons of a claim (Holm), and their intervals hold together (Bonferroni). Whatever the claim, rows come out the
same, different or undecided.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hybridsep.report import distances
from hybridsep.report.comparison import Comparison, Difference
from hybridsep.report.distances import ANOTHER_FUNCTION, SAME_FUNCTION
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions, Claim
from hybridsep.report.speed import Speeds
from hybridsep.report.table import bounds, number, signed
from hybridsep.statistics import difference
from hybridsep.statistics.difference import Equivalence, Interval
from hybridsep.statistics.many_to_one import ManyToOne

# One vocabulary for what these runs say of a claim and for what they say about the paper's numbers,
AS_CLAIMED, OPPOSED, UNDECIDED, NOT_RUN = "reproduced", "contradicted", "inconclusive", "not run"
# and one for what they show without a claim.
SAME, DIFFERENT, UNCLEAR = "same", "different", "undecided"
FASTER, SLOWER = "faster", "slower"


@dataclass(frozen=True)
class Evidence:
    """One comparison that a claim rests on, of `label` over `n` trials; of none, `text` says why.

    `text` is what was measured; `shows` what that is, whatever the paper claims: SAME, DIFFERENT or UNCLEAR, also by
    the distance of functions, of speed FASTER or SLOWER. `equivalent` is of two one-sided tests, `different` of the
    test against 0, `function` what the distance of functions shows, `probable` how probable better, the same and worse
    are by Dunnett's spread.
    """

    label: str
    n: int
    text: str
    interval: Interval = Interval(None, None, None)
    equivalent: bool | None = None
    different: bool = False
    function: str = ""
    shows: str = ""
    probable: str = ""


@dataclass(frozen=True)
class Case:
    """A claim with what it is judged by: the study's tables by name, what was measured of speed."""

    claim: Claim
    tables: Mapping[str, tuple[RunSet, Comparison]]
    speeds: Speeds
    options: AnalysisOptions

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
        return self.options.margin if self.claim.margin is None else self.claim.margin


@dataclass(frozen=True)
class Rule:
    """What a rule compares, and what the comparison says of the claim by its margin; `text` explains it to readers.

    `by_distance`: it can go by the distance of functions.
    """

    compare: Callable[[Case], list[Evidence]]
    outcome: Callable[[Evidence, float], str]
    text: str
    by_distance: bool = False


def judge(outcomes: Sequence[str]) -> str:
    """Return the outcome of a claim: all its comparisons must be reproduced, one may contradict it."""
    if not outcomes or NOT_RUN in outcomes:
        return NOT_RUN
    if OPPOSED in outcomes:
        return OPPOSED
    return AS_CLAIMED if set(outcomes) == {AS_CLAIMED} else UNDECIDED


def shows(change: Difference, alpha: float) -> str:
    """Return what a row's difference shows: the same within the margin (TOST), different, or neither.

    Both tests are corrected over the rows. What differs and is yet within the margin is the same: the margin says what
    counts.
    """
    return _shows(change.equivalence_holm.equivalent, change.p_holm is not None and change.p_holm < alpha)


def _shows(equivalent: bool | None, different: bool) -> str:
    return SAME if equivalent else DIFFERENT if different else UNCLEAR


def by_sign(interval: Interval) -> str:
    """Reproduced when the interval lies above zero, contradicted when below."""
    if interval.low is None or interval.high is None:
        return UNDECIDED
    return AS_CLAIMED if interval.low > 0 else OPPOSED if interval.high < 0 else UNDECIDED


def by_equivalence(evidence: Evidence, margin: float) -> str:
    """Reproduced when equivalence is shown (TOST), contradicted when the whole interval lies beyond the margin."""
    interval = evidence.interval
    if evidence.equivalent:
        return AS_CLAIMED
    if interval.low is not None and interval.high is not None and (interval.low > margin or interval.high < -margin):
        return OPPOSED
    return UNDECIDED


def by_difference(evidence: Evidence, margin: float) -> str:
    """Contradicted when equivalence is shown, reproduced when the test or the distance of functions shows another."""
    if evidence.equivalent:
        return OPPOSED
    return AS_CLAIMED if evidence.different or evidence.function == ANOTHER_FUNCTION else UNDECIDED


def by_function(evidence: Evidence, margin: float) -> str:
    """Judge that two rows are the same: by their error where it decides against it, else by the distance of functions.

    Contradicted when the whole interval of the error is beyond the margin, or the distance shows another function;
    reproduced when it shows the same one. Where the distance shows neither, by the error.
    """
    error = by_equivalence(evidence, margin)
    if OPPOSED == error or evidence.function == ANOTHER_FUNCTION:
        return OPPOSED
    return AS_CLAIMED if evidence.function == SAME_FUNCTION else error


def probabilities(many: ManyToOne | None) -> str:
    """Write how probable better, the same and worse are; nothing where a row has too few trials."""
    if many is None:
        return ""
    return f"(better {number(many.better)}, same {number(many.same)}, worse {number(many.worse)})"


def _points(interval: Interval) -> str:
    return f"{signed(interval.mean)} {bounds(interval)}"


def _against_baseline(case: Case) -> list[Evidence]:
    """The rows against the table's baseline, with equivalence within the claim's own margin."""
    runset, comparison, options = case.runset, case.comparison, case.options
    there = [row for row in case.claim.rows if row in runset.rows and runset.paired(row)]
    same = dict(zip(there, _equivalent(case, [comparison.of(row).difference.samples for row in there]), strict=True))
    results = []
    for row in case.claim.rows:
        if row not in same:
            results.append(Evidence(row, 0, "no trials"))
            continue
        result = comparison.of(row)
        change, text, function = result.difference, _points(result.difference.interval), ""
        if case.margin != options.margin:
            change = replace(change, equivalence_holm=Equivalence(None, same[row]))
        error = shown = shows(change, options.alpha)
        apart = comparison.distances.rows.get(row) if comparison.distances else None
        if apart and apart.distance.value is not None:
            function = apart.shows
            shown = error if function == distances.UNCLEAR else f"{error}, {function}"
            text += f", distance {number(apart.distance.value, 3)} {distances.bounds(apart.distance)}"
        results.append(
            Evidence(
                label=result.label,
                n=change.pairs,
                text=text,
                interval=difference.mean_interval(change.samples, options.alpha / len(there)),
                equivalent=change.equivalence_holm.equivalent,
                different=change.p_holm is not None and change.p_holm < options.alpha,
                function=function,
                shows=shown,
                probable=probabilities(result.many) if case.margin == options.margin else "",
            )
        )
    return results


def _equivalent(case: Case, samples: Sequence[tuple[np.ndarray, ...]]) -> list[bool | None]:
    """Return whether each comparison of a claim is equivalent within its margin, p corrected over them (Holm)."""
    p_values = [difference.equivalence(sample, case.margin, case.options.alpha).p for sample in samples]
    return [None if p is None else p < case.options.alpha for p in difference.holm(p_values)]


def _of_errors(label: str, n: int, interval: Interval, equivalent: bool | None) -> Evidence:
    """Evidence from an interval in points without a test of its own: different where it excludes 0."""
    different = by_sign(interval) != UNDECIDED
    return Evidence(label, n, _points(interval), interval, equivalent, different, shows=_shows(equivalent, different))


def _pairwise(
    case: Case, pairs: Sequence[tuple[str, str]], values: Callable[[str], dict[int, float]]
) -> list[Evidence]:
    """`values(other) - values(row)` over the trials that both have, with a paired t interval and TOST."""
    results, gains = [], []
    for row, other in pairs:
        first, second = (values(name) if name in case.runset.rows else {} for name in (row, other))
        gains.append(np.array([second[trial] - first[trial] for trial in first if trial in second]))
    equivalent = _equivalent(case, [(gain,) for gain in gains])
    for (row, other), gain, same in zip(pairs, gains, equivalent, strict=True):
        if not len(gain):
            results.append(Evidence(f"{row} and {other}", 0, "no trials in common"))
            continue
        interval = difference.mean_interval((gain,), case.options.alpha / len(pairs))
        results.append(_of_errors(case.runset.label(other), len(gain), interval, same))
    return results


def _every_pair(case: Case) -> list[tuple[str, str]]:
    return [(row, other) for row in case.claim.rows for other in case.claim.against]


def _distances(case: Case) -> list[Evidence]:
    """|d| of the others from the baseline, less that of the rows, trial by trial."""
    runset = case.runset

    def distance(row: str) -> dict[int, float]:
        errors, baseline = runset.errors(row), runset.errors(runset.baseline)
        return {trial: abs(errors[trial] - baseline[trial]) for trial in errors if trial in baseline}

    if runset.baseline not in runset.rows:
        return [Evidence("baseline", 0, "not there")]
    return _pairwise(case, _every_pair(case), distance)


def _function_distances(case: Case) -> list[Evidence]:
    """How much farther the others are from the baseline than the rows, as functions."""
    functions = case.comparison.distances
    results, pairs = [], _every_pair(case)
    for row, other in pairs:
        if functions is None or not {row, other} <= functions.runs.keys():
            results.append(Evidence(f"{row} and {other}", 0, "no predictions to compare"))
            continue
        farther = functions.farther(other, row, case.options.alpha / len(pairs))
        trials = len(set(functions.runs[row].trials) & set(functions.runs[other].trials))
        text = f"{number(farther.mean, 3, sign=True)} {distances.bounds(farther)}"
        results.append(replace(_of_errors(case.runset.label(other), trials, farther, None), text=text))
    return results


def _errors(case: Case) -> list[Evidence]:
    """The test error of the others, less that of the rows."""
    return _pairwise(case, _every_pair(case), case.runset.errors)


def _errors_one_by_one(case: Case) -> list[Evidence]:
    """The test error of each row's counterpart, less that of the row."""
    return _pairwise(case, list(zip(case.claim.rows, case.claim.against, strict=True)), case.runset.errors)


def _gains(case: Case) -> list[Evidence]:
    """A difference of differences: the gain of one pair of rows, less that of a pair of another table."""
    (row, other), (there, other_there) = case.claim.rows, case.claim.against
    gains = []
    for first, second in ((row, other), (there, other_there)):
        holding = next((runset for runset, _ in case.tables.values() if {first, second} <= set(runset.rows)), None)
        errors = [holding.errors(name) if holding else {} for name in (first, second)]
        both = errors[0].keys() & errors[1].keys()
        if not both:
            return [Evidence(f"{first} and {second}", 0, "no trials in common in this study")]
        gains.append(np.array([errors[1][trial] - errors[0][trial] for trial in sorted(both)]))
    interval = difference.mean_interval(gains, case.options.alpha)
    equivalent = difference.equivalence(tuple(gains), case.margin, case.options.alpha).equivalent
    return [_of_errors("gain", min(map(len, gains)), interval, equivalent)]


def _speeds(case: Case) -> list[Evidence]:
    """Images per second of the rows by those of the others, in training and inference: the logarithm of the ratio.

    Timed blocks of one row and of another ran at different times, so they are not pairs: Welch's interval.
    """
    results, pairs = [], _every_pair(case)
    for row, other in pairs:
        first, second = case.speeds.blocks(row), case.speeds.blocks(other)
        label = case.speeds.label(other)
        if not first.keys() & second.keys():
            names = f"{case.speeds.label(row)} and {label}"
            results.append(Evidence(names, 0, "not timed, block by block, in this study"))
        for what in (what for what in first if what in second):
            logs = np.log(first[what]), np.log(second[what])
            interval = difference.mean_interval(logs, case.options.alpha / (len(pairs) * len(first)))
            if interval.low is None and min(map(len, logs)) > 1:  # not one block differs from another
                interval = Interval(interval.mean, interval.mean, interval.mean)
            mean, low, high = (
                None if log is None else float(np.exp(log)) for log in (interval.mean, interval.low, interval.high)
            )
            text = f"x {number(mean)}" + (f" [{number(low)}, {number(high)}]" if low is not None else "")
            shown = {AS_CLAIMED: FASTER, OPPOSED: SLOWER, UNDECIDED: UNCLEAR}[by_sign(interval)]
            results.append(Evidence(f"{label} ({what})", min(map(len, logs)), text, interval, shows=shown))
    return results


def _sign(evidence: Evidence, margin: float) -> str:
    return by_sign(evidence.interval)


_SAME_TEXT = "two one-sided tests within ±{margin:g} points; contradicted when the whole interval is beyond"
RULES = {
    "equivalent": Rule(_against_baseline, by_equivalence, _SAME_TEXT),
    "different": Rule(
        _against_baseline,
        by_difference,
        "Holm p < {alpha:g} and not equivalent within ±{margin:g}; where neither is shown, by the distance of"
        " functions, Holm p < {alpha:g}; contradicted when equivalent",
        by_distance=True,
    ),
    "same_function": Rule(
        _against_baseline,
        by_function,
        "the interval of the distance of functions ends below {distance:g} and its Holm p is not below {alpha:g};"
        " contradicted when it is, or when the whole interval of the error is beyond ±{margin:g} points; else by two"
        " one-sided tests",
        by_distance=True,
    ),
    "nearer": Rule(
        _function_distances,
        _sign,
        "interval of distance other - distance row above 0; contradicted when below",
        by_distance=True,
    ),
    "closer": Rule(_distances, _sign, "interval of |d other| - |d row| above 0; contradicted when below"),
    "lower_error": Rule(_errors, _sign, "interval of error other - error row above 0; contradicted when below"),
    "same_error": Rule(_errors_one_by_one, by_equivalence, _SAME_TEXT),
    "greater_gain": Rule(_gains, _sign, "interval of the difference of the two gains above 0; contradicted when below"),
    "faster": Rule(_speeds, _sign, "interval of the speed ratio above 1; contradicted when below"),
}
