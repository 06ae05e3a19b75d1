"""A table that repeats another one of its study under a condition, side by side with it."""

from typing import Any

from hybridsep.report import verdicts
from hybridsep.report.comparison import Comparison
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import Column, Table, count, estimate, number, percent
from hybridsep.report.tables import LABEL


def side_by_side(
    first: tuple[RunSet, Comparison], second: tuple[RunSet, Comparison], choices: AnalysisOptions
) -> Table:
    """Two tables of one study, line by line: as in the paper, and under the condition of the table that repeats it."""
    (runset, comparison), (repeated, found) = first, second
    there = {entry["row"]: entry for entry in found.rows}
    keys = ("row", "n", "params", "mean", "low", "high", "mean_absolute")
    lines = []
    for entry in comparison.rows:
        other = there.get(repeated.spec.row_for(entry["row"]))
        line = {"label": entry["label"]}
        for prefix, own in (("", entry), ("other_", other)):
            if own is None:  # the row is not repeated
                continue
            line |= {prefix + key: own[key] for key in keys}
            blank = own["is_baseline"] or own["mean"] is None
            line[f"{prefix}shows"] = "" if blank else _shown(own, choices.alpha)
            if own["is_baseline"]:
                line[f"{prefix}mean"] = ""
        lines.append(line)
    condition, level = repeated.spec.condition, percent(choices.alpha)
    columns = [LABEL]
    for prefix, name, place in (("", "Difference", "both"), ("other_", condition.capitalize(), "files")):
        columns += [
            Column("Parameters", f"{prefix}params", count, place=place),
            Column("n", f"{prefix}n", place="files"),
            Column(f"{name} [{level}]", tuple(prefix + key for key in ("mean", "low", "high")), estimate),
            Column("Shows", f"{prefix}shows"),
        ]
    return Table(
        name=f"{repeated.table}-beside",
        title=f"{runset.short_title} as in the paper, and {condition}",
        columns=columns,
        lines=lines,
        fields=[*keys, "shows", *(f"other_{key}" for key in (*keys, "shows"))],
        notes=[
            "Difference in test error from the baseline, points; both sides against the same row, trial by trial."
            f" Shows: same within ±{choices.margin:g} points (two one-sided tests), different (p Holm below"
            f" {choices.alpha:g}), or undecided, with how probable better, the same and worse are (all test images)."
        ],
        terminal=True,
    )


def _shown(entry: dict[str, Any], alpha: float) -> str:
    """Say what a row shows; of an undecided one, how probable better, the same and worse are."""
    said = verdicts.shows(entry, alpha)
    if said != verdicts.UNCLEAR or entry.get("many_p") is None:
        return said
    chances = (f"{name} {number(entry[f'many_{name}'])}" for name in ("better", "same", "worse"))
    return f"{said} ({', '.join(chances)})"
