"""The verdict ledger, and the list of what the paper leaves open, both computed from the runs.

The verdict on the paper is what the runs say only if they were made under the paper's conditions; else it is
inconclusive.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hybridsep.config.identity import flatten
from hybridsep.errors import ConfigError
from hybridsep.report import heading, verdicts
from hybridsep.report.compare import Comparison
from hybridsep.report.sample import Sample
from hybridsep.report.settings import Choices, Paper
from hybridsep.report.table import Column, Table

VERDICTS = {verdicts.AS_CLAIMED: "reproduced", verdicts.OPPOSED: "contradicted"}


def ledger(parts: Sequence[tuple[Sample, Comparison]], paper: Paper, choices: Choices) -> list[dict[str, Any]]:
    """Return one entry per claim of the paper, judged on the part that has its table.

    Raises ConfigError for an unknown rule.
    """
    by_table = {sample.table: (sample, comparison) for sample, comparison in parts}
    entries = []
    for name, claim in paper.claims.items():
        if claim.rule not in verdicts.RULES:
            raise ConfigError(
                f"conf/paper.yaml: claim {name} has rule '{claim.rule}'; there are {', '.join(verdicts.RULES)}"
            )
        rule, text = verdicts.RULES[claim.rule]
        entry: dict[str, Any] = {"claim": name, "where": claim.where, "says": claim.says}
        entry["rule"] = text.format(margin=choices.margin, alpha=choices.alpha)
        if claim.table not in by_table:
            entries.append(
                entry
                | {
                    "measured": "-",
                    "n": 0,
                    "here": verdicts.NOT_RUN,
                    "verdict": "inconclusive",
                    "because": verdicts.NOT_RUN,
                }
            )
            continue
        sample, comparison = by_table[claim.table]
        findings = rule(sample, comparison, claim, choices)
        here = verdicts.judge([finding.outcome for finding in findings])
        departures = heading.departures(sample, paper)
        verdict = "inconclusive" if departures else VERDICTS.get(here, "inconclusive")
        because = "; ".join(departures + heading.remarks(sample, paper)) or ("" if verdict != "inconclusive" else here)
        entries.append(
            entry
            | {"measured": "; ".join(finding.text for finding in findings), "n": min(finding.n for finding in findings)}
            | {"here": here, "verdict": verdict, "because": because}
        )
    return entries


def brief(table: Table) -> Table:
    """Return the claims that these runs say something about; a note names the places of the others."""
    run = [line for line in table.lines if line["here"] != verdicts.NOT_RUN]
    others = sorted({line["where"] for line in table.lines if line["here"] == verdicts.NOT_RUN})
    notes = [*table.notes, f"Claims that these runs do not touch: {', '.join(others)}."] if others else table.notes
    return replace(table, lines=run, notes=notes)


def ledger_table(entries: Sequence[dict[str, Any]], choices: Choices, study: str) -> Table:
    """Return the ledger as a table."""
    columns = [
        Column("Where", lambda line: line["where"], wide=True),
        Column("The paper says", lambda line: line["says"], wide=True),
        Column("Measured here", lambda line: line["measured"], wide=True, place="files"),
        Column("n", lambda line: str(line["n"])),
        Column("Rule", lambda line: line["rule"], wide=True, place="files"),
        Column("In these runs", lambda line: line["here"]),
        Column("Verdict", lambda line: line["verdict"]),
        Column("Departures", lambda line: line["because"], wide=True, place="files"),
    ]
    return Table(
        name="verdicts",
        title=f"Verdicts on the paper's claims from study {study}",
        columns=columns,
        lines=entries,
        fields="claim where says measured n rule here verdict because".split(),
        notes=[
            f"Intervals are of {100 * (1 - choices.alpha):g} %, in points of test error unless a ratio (x). n: the"
            " fewest trials behind one of the numbers. A verdict other than inconclusive needs runs under the"
            " paper's conditions (conf/paper.yaml)."
        ],
        terminal=True,
    )


def deviation_table(sample: Sample, paper: Paper) -> Table:
    """Return what the paper leaves open, our choice, and where this study chose otherwise."""
    flat = flatten(sample.first.record["config"])
    lines = []
    for point in paper.open_points:
        value = flat.get(point.key, "unknown") if point.key else None
        same = value is None or value == point.default
        here = "as chosen" if same else f"{point.key} = {value}"
        lines.append({"point": point.point, "choice": point.choice, "key": point.key, "here": here})
    columns = [
        Column("The paper leaves open", lambda line: line["point"], wide=True),
        Column("Choice", lambda line: line["choice"], wide=True),
        Column("Key", lambda line: line["key"] or "-"),
        Column("This study", lambda line: line["here"], wide=True),
    ]
    return Table(
        name=f"{sample.table}-deviations",
        title="What the paper leaves open, and what this study did",
        columns=columns,
        lines=lines,
        fields="point choice key here".split(),
    )
