"""What a set of runs shows, in plain sentences computed from its numbers."""

from typing import Any

from hybridsep.report.comparison import Comparison
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import number, p_value


def sentences(runset: RunSet, comparison: Comparison, choices: AnalysisOptions) -> list[str]:
    """Return one sentence per row that has trials, and what all of them together cannot decide."""
    baseline = next((entry for entry in comparison.rows if entry["is_baseline"] and entry["n"]), None)
    if baseline is None:
        return ["There is no finished run of the baseline, so the rows cannot be compared."]
    compared = [entry for entry in comparison.rows if entry["mean"] is not None]
    name, error = baseline["label"].removesuffix(" (baseline)"), number(baseline["error_mean"])
    spec, unit = runset.spec, _unit(runset)
    found = [f"The baseline, {name}, is wrong on {error} % of the test images, over {_trials(baseline)}."]
    if spec.unit != "%" or spec.higher_is_better:
        found = [f"The baseline, {name}, has {error} {spec.unit}, over {_trials(baseline)}."]
    if comparison.floor.mean is not None:
        found[0] += f" Two of its own trials differ by {number(comparison.floor.mean)} {unit}: noise."
    found += [_row(entry, baseline, comparison, choices, runset) for entry in compared]
    if any(entry["pairs"] == 1 for entry in compared):
        found.append("One trial of a row cannot decide: it has no spread.")
    if choices.pairing == "paired" and any(entry["test"] == "t" for entry in compared):
        least = max(entry["least"] for entry in compared if entry["test"] == "t")
        found.append(
            f"Of so few trials the permutation test never gives a p below {p_value(least)}, so Student's t is the test:"
            " it takes differences to be normal."
        )
    return found


def _trials(entry: dict[str, Any]) -> str:
    return "one trial" if entry["n"] == 1 else f"{entry['n']} trials"


def _unit(runset: RunSet) -> str:
    return "points" if runset.spec.unit == "%" else runset.spec.unit


def _row(
    entry: dict[str, Any], baseline: dict[str, Any], comparison: Comparison, choices: AnalysisOptions, runset: RunSet
) -> str:
    mean, unit = entry["mean"], _unit(runset)
    worse = (mean > 0) != runset.spec.higher_is_better
    size = number(abs(mean))
    if float(size) == 0:
        text = f"{entry['label']} has the baseline's error"
    else:
        text = f"{entry['label']} is {size} {unit} {'worse' if worse else 'better'} than the baseline"
    if entry["params"] and baseline["params"]:
        ratio = entry["params"] / baseline["params"]
        about = ", on as many parameters" if abs(ratio - 1) < 0.005 else ", on about as many parameters"
        text += about if abs(ratio - 1) < 0.05 else f", on {number(ratio, 1)} times its parameters"
    if entry["low"] is not None:
        sides = "excludes" if entry["low"] > 0 or entry["high"] < 0 else "includes"
        text += (
            f"; its {100 * (1 - choices.alpha):g} % interval, {number(entry['low'], sign=True)} to"
            f" {number(entry['high'], sign=True)}, {sides} 0"
        )
    if entry["equivalent"]:
        text += f"; equal to the baseline within {choices.margin:g} {unit}"
    if entry["beyond_noise"] is not None:
        text += f"; {'beyond' if entry['beyond_noise'] else 'within'} what the seed alone does"
    elif entry["same_start"] and comparison.floor.mean is not None:
        text += "; it begins with the baseline's weights, so it is not held against the noise of unlike seeds"
    elif comparison.floor.mean is not None:
        text += "; too few trials to tell from noise"
    return f"{text}."
