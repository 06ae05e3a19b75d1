"""What a set of runs shows, in plain sentences computed from its numbers."""

from hybridsep.report.comparison import Comparison, RowResult
from hybridsep.report.distances import plus_minus
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import number, p_value, signed


def sentences(runset: RunSet, comparison: Comparison, options: AnalysisOptions) -> list[str]:
    """Return one sentence per row that has trials, and what all of them together cannot decide."""
    baseline = next((row for row in comparison.rows if row.is_baseline and row.n), None)
    if baseline is None:
        return ["There is no finished run of the baseline, so the rows cannot be compared."]
    name, error = baseline.label.removesuffix(" (baseline)"), number(baseline.error_mean, runset.decimals)
    trials = "one trial" if baseline.n == 1 else f"{baseline.n} trials"
    unit = _unit(runset)
    first = f"The baseline, {name}, is wrong on {error} % of the test images, over {trials}."
    if not runset.by_image:
        an_error = "an error of " if runset.spec.is_error else ""
        first = f"The baseline, {name}, has {an_error}{error} {runset.spec.unit}, over {trials}."
    if comparison.floor.mean is not None:
        first += f" Two of its own trials differ by {number(comparison.floor.mean, runset.decimals)} {unit}: noise."
    apart = comparison.distances.rows if comparison.distances else {}
    if apart:
        first += (
            " As functions, rows are 0 apart when they are the same, and 1 when they are as far as two of its seeds."
        )
    compared = [row for row in comparison.rows if row.difference.interval.mean is not None]
    lines = [first, *(_row(row, baseline, comparison, options, runset) for row in compared)]
    if any(row.difference.pairs == 1 for row in compared):
        lines.append("One trial of a row cannot decide: it has no spread.")
    by_t = [row.difference.permutation.least or 0.0 for row in compared if row.difference.test == "t"]
    if options.pairing == "paired" and by_t:
        lines.append(
            f"Of so few trials the permutation test never gives a p below {p_value(max(by_t))}, so Student's t is the"
            " test: it takes differences to be normal."
        )
    return lines


def _unit(runset: RunSet) -> str:
    return "points" if runset.spec.unit == "%" else runset.spec.unit


def _row(row: RowResult, baseline: RowResult, comparison: Comparison, options: AnalysisOptions, runset: RunSet) -> str:
    interval, p, unit = row.difference.interval, row.difference.p_holm, _unit(runset)
    mean = interval.mean or 0.0
    worse = (mean > 0) != runset.spec.higher_is_better
    size, excludes_0 = number(abs(mean), runset.decimals), (interval.low or 0.0) > 0 or (interval.high or 0.0) < 0
    if size != number(0.0, runset.decimals):
        text = f"{row.label} is {size} {unit} {'worse' if worse else 'better'} than the baseline"
    elif excludes_0:
        least = number(10.0**-runset.decimals, runset.decimals)
        text = f"{row.label} is less than {least} {unit} {'worse' if worse else 'better'} than the baseline"
    else:
        text = f"{row.label} has the baseline's {'error' if runset.spec.is_error else 'value'}"
    if row.cost.params and baseline.cost.params:
        ratio = row.cost.params / baseline.cost.params
        about = ", on as many parameters" if abs(ratio - 1) < 0.005 else ", on about as many parameters"
        text += about if abs(ratio - 1) < 0.05 else f", on {number(ratio, 1)} times its parameters"
    if interval.low is not None and interval.high is not None:
        low, high = (signed(end, runset.decimals) for end in (interval.low, interval.high))
        sides = "excludes" if excludes_0 else "includes"
        text += f"; its {100 * (1 - options.alpha):g} % interval, {low} to {high}, {sides} 0"
    if row.difference.equivalence_holm.equivalent:
        text += f"; equal to the baseline within {options.margin:g} {unit}"
    if row.beyond_noise is not None:
        text += f"; {'beyond' if row.beyond_noise else 'within'} what the seed alone does"
    elif row.spec.same_start and comparison.floor.mean is not None:
        text += "; it begins with the baseline's weights, so it is not held against the noise of unlike seeds"
    elif comparison.floor.mean is not None:
        text += "; too few trials to tell from noise"
    text += "."
    if row.many and (row.many.p < options.alpha) != (p is not None and p < options.alpha):
        by = "Student's t" if row.difference.test == "t" else "permutation"
        where = " on all test images" if runset.by_image else ""
        text += (
            f" The tests disagree: p is {p_value(p)} by {by}, corrected over the rows, and {p_value(row.many.p)} by"
            f" Dunnett's test, of all rows at once{where}."
        )
    apart = comparison.distances.rows.get(row.row) if comparison.distances else None
    if apart and apart.distance.value is not None:
        text += f" As a function it is {plus_minus(apart.distance)} from the baseline: {apart.shows}."
    return text
