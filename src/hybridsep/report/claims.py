"""The verdicts on the claims of the paper, and the list of what the paper leaves open, both computed from the runs.

The verdict on the paper is what the runs say only if they were made under the paper's conditions; else it is
inconclusive.
"""

from collections.abc import Sequence
from typing import Any

from hybridsep.config.identity import flatten
from hybridsep.errors import ConfigError
from hybridsep.report import heading, verdicts
from hybridsep.report.compare import Comparison
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions, Claim, Paper
from hybridsep.report.table import Column, Table, dash, percent


def judge(parts: Sequence[tuple[RunSet, Comparison]], paper: Paper, choices: AnalysisOptions) -> list[dict[str, Any]]:
    """Return one entry per claim of the paper, judged on the part that has its table.

    Raises ConfigError for an unknown rule.
    """
    by_table = {runset.table: (runset, comparison) for runset, comparison in parts}
    entries = []
    for name, claim in paper.claims.items():
        if claim.rule not in verdicts.RULES:
            raise ConfigError(
                f"conf/paper.yaml: claim {name} has rule '{claim.rule}'; there are {', '.join(verdicts.RULES)}"
            )
        rule, text = verdicts.RULES[claim.rule]
        entry: dict[str, Any] = {
            "claim": name,
            "where": claim.where,
            "says": claim.says,
            "rule": text.format(margin=choices.margin, alpha=choices.alpha),
        }
        if claim.table in by_table:
            entries.append(entry | _judge(*by_table[claim.table], claim, rule, paper, choices))
        else:
            nothing = {"measured": "-", "n": 0, "here": verdicts.NOT_RUN, "verdict": verdicts.UNDECIDED}
            entries.append(entry | nothing | {"because": verdicts.NOT_RUN})
    return entries


def _judge(
    runset: RunSet, comparison: Comparison, claim: Claim, rule: verdicts.Rule, paper: Paper, choices: AnalysisOptions
) -> dict[str, Any]:
    findings = rule(runset, comparison, claim, choices)
    here = verdicts.judge([finding.outcome for finding in findings])
    deviations = heading.deviations(runset, paper)
    verdict = verdicts.UNDECIDED if deviations or here == verdicts.NOT_RUN else here
    reasons = deviations + heading.remarks(runset, paper)
    if not reasons and here == verdicts.NOT_RUN:
        reasons = [here]
    return {
        "measured": "; ".join(finding.text for finding in findings),
        "n": min(finding.n for finding in findings),
        "here": here,
        "verdict": verdict,
        "because": "; ".join(reasons),
    }


def table(entries: Sequence[dict[str, Any]], choices: AnalysisOptions, study: str) -> Table:
    """Return the claims that the runs say something about; a note names the places of the others. CSV has all."""
    judged = [entry for entry in entries if entry["here"] != verdicts.NOT_RUN]
    others = sorted({entry["where"] for entry in entries if entry["here"] == verdicts.NOT_RUN})
    notes = [
        f"In these runs: by the rule, from these numbers alone. Intervals are of {percent(choices.alpha)}, in points of"
        " test error unless a ratio (x). n: the fewest trials behind one of the numbers. On the paper: the same, but"
        f" {verdicts.UNDECIDED} unless the runs were made under the paper's conditions (conf/paper.yaml)."
    ]
    if others:
        notes.append(f"Claims that these runs do not touch: {', '.join(others)}.")
    return Table(
        name="verdicts",
        title=f"Verdicts on the paper's claims from study {study}",
        columns=[
            Column("Where", "where", wide=True),
            Column("The paper says", "says", wide=True),
            Column("Measured here", "measured", wide=True, place="files"),
            Column("n", "n"),
            Column("Rule", "rule", wide=True, place="files"),
            Column("In these runs", "here"),
            Column("On the paper", "verdict"),
        ],
        lines=judged,
        data=entries,
        fields="claim where says measured n rule here verdict because".split(),
        notes=notes,
        terminal=True,
    )


def protocol_deviations(runset: RunSet, paper: Paper) -> Table:
    """Return what the paper leaves open, our choice, and where this study chose otherwise."""
    flat = flatten(runset.first.record["config"])
    lines = []
    for point in paper.open_points:
        value = flat.get(point.key, "unknown") if point.key else None
        same = value is None or value == point.default
        here = "as chosen" if same else f"{point.key} = {value}"
        lines.append({"point": point.point, "choice": point.choice, "key": point.key or None, "here": here})
    return Table(
        name=f"{runset.table}-deviations",
        title="What the paper leaves open, and what this study did",
        columns=[
            Column("The paper leaves open", "point", wide=True),
            Column("Choice", "choice", wide=True),
            Column("Key", "key", dash),
            Column("This study", "here", wide=True),
        ],
        lines=lines,
        fields="point choice key here".split(),
    )
