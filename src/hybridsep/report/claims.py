"""The verdicts on the claims of the paper, and the list of what the paper leaves open, both computed from the runs.

The verdict on the paper is what the runs say only if they were made under the paper's conditions; else it is
inconclusive.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hybridsep.errors import ConfigError
from hybridsep.report import conditions, speed, verdicts
from hybridsep.report.comparison import Comparison
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions, Claim, Paper
from hybridsep.report.speed import Measured
from hybridsep.report.table import Column, Table, percent


def judge(
    tables: Mapping[str, tuple[RunSet, Comparison]], measured: Measured, paper: Paper, choices: AnalysisOptions
) -> list[dict[str, Any]]:
    """Return one entry per claim of the paper, judged on its table of `tables`, or on what was measured of speed.

    A table that is the counterpart of another one judges the claims of that one again. Raises ConfigError for a
    claim that cannot be judged.
    """
    there = {*tables, *([speed.TABLE] if measured.records else [])}
    entries = []
    for name, claim in _with_counterparts(paper, there).items():
        _check(name, claim, paper)
        case = verdicts.Case(claim, tables, measured, choices)
        entry: dict[str, Any] = {
            "claim": name,
            "where": claim.where,
            "says": claim.says,
            "rule": verdicts.RULES[claim.rule].text.format(
                margin=case.margin, alpha=choices.alpha, distance=choices.distance
            ),
        }
        if claim.table in there:
            entries.append(entry | _judge(case, paper))
        else:
            nothing = {"measured": "-", "n": 0, "shows": "", "here": verdicts.NOT_RUN, "verdict": verdicts.UNDECIDED}
            entries.append(entry | nothing | {"because": verdicts.NOT_RUN})
    return entries


def _check(name: str, claim: Claim, paper: Paper) -> None:
    """Raise ConfigError for a claim of conf/paper.yaml that names no rule, no table or no row, or a margin in vain."""
    table = paper.tables.get(claim.table)
    known = {row for spec in paper.tables.values() for row in spec.rows}
    pairs = len(claim.rows) == len(claim.against)
    wrong = {
        f"rule {claim.rule}: there are {', '.join(verdicts.RULES)}": claim.rule not in verdicts.RULES,
        f"table {claim.table}: there are {', '.join([*paper.tables, speed.TABLE])}": table is None
        and claim.table != speed.TABLE,
        f"rows {', '.join(claim.rows)}: not all stand in its table": table is not None
        and not set(claim.rows) <= table.rows.keys(),
        f"against {', '.join(claim.against)}: not all stand in a table": table is not None
        and not set(claim.against) <= known,
        f"rule {claim.rule} takes as many rows as against": claim.rule == "same_error" and not pairs,
        f"rule {claim.rule} takes two rows and two against": claim.rule == "greater_gain"
        and not (pairs and len(claim.rows) == 2),
        f"margin {claim.margin}: a number of points above 0 and below 100": claim.margin is not None
        and not 0 < claim.margin < 100,
        f"margin {claim.margin}: in points of test error, and rule {claim.rule} has none": claim.margin is not None
        and claim.rule == "faster",
    }
    for text, holds in wrong.items():
        if holds:
            raise ConfigError(f"conf/paper.yaml: claim {name}: {text}")


def _with_counterparts(paper: Paper, there: Collection[str]) -> dict[str, Claim]:
    """Return the claims, and after each those of the tables that repeat its own under another condition.

    A table that does not repeat all rows of a claim does not judge it.
    """
    claims = {}
    for name, claim in paper.claims.items():
        claims[name] = claim
        for table, spec in paper.tables.items():
            if table in there and spec.counterpart == claim.table:
                rows, against = (
                    [own for row in part if (own := spec.row_for(row))] for part in (claim.rows, claim.against)
                )
                if (len(rows), len(against)) != (len(claim.rows), len(claim.against)):
                    continue
                where = f"{claim.where}, {spec.condition}"
                claims[f"{name}_{table}"] = replace(claim, where=where, table=table, rows=rows, against=against)
    return claims


def _judge(case: verdicts.Case, paper: Paper) -> dict[str, Any]:
    findings = verdicts.find(case)
    here = verdicts.judge([finding.outcome for finding in findings])
    found = _deviations(case, paper)
    open_ = any(not one.accepted for one in found)
    verdict = verdicts.UNDECIDED if open_ or here == verdicts.NOT_RUN else here
    reasons = list(map(str, sorted(found, key=lambda one: one.accepted)))
    if not reasons and here == verdicts.NOT_RUN:
        reasons = [here]
    return {
        "measured": "; ".join(finding.text for finding in findings),
        "n": min(finding.n for finding in findings),
        "shows": _shown(findings, case.margin),
        "here": here,
        "verdict": verdict,
        "because": "; ".join(reasons),
    }


def _deviations(case: verdicts.Case, paper: Paper) -> list[conditions.Deviation]:
    """Return what is not as in the paper of the rows that a claim rests on, also those of another table."""
    rows = {*case.claim.rows, *case.claim.against}
    if case.claim.table == speed.TABLE:
        return conditions.concerning(case.measured.deviations, rows)
    holding = [
        runset for runset, _ in case.tables.values() if runset is case.runset or rows & _only_there(case, runset)
    ]
    found = [conditions.concerning(conditions.of_table(runset, paper), {*rows, runset.baseline}) for runset in holding]
    return list(dict.fromkeys(one for some in found for one in some))


def _only_there(case: verdicts.Case, runset: RunSet) -> set[str]:
    """Return the finished rows of a table that the claim's own table does not have."""
    return {row for row, trials in runset.runs.items() if trials} - set(case.runset.rows)


def _shown(findings: Sequence[verdicts.Finding], margin: float) -> str:
    """Return what the runs show whatever the claim: which comparisons come out the same, different or undecided."""
    groups: dict[str, list[str]] = {}
    for finding in findings:
        if finding.n:
            groups.setdefault(finding.shows, []).append(finding.label)
    within = f"{verdicts.SAME} (±{margin:g})"
    named = {
        within + shows.removeprefix(verdicts.SAME) if shows.startswith(verdicts.SAME) else shows: labels
        for shows, labels in groups.items()
    }
    return (
        next(iter(named), "")
        if len(named) < 2
        else "; ".join(f"{shows}: {', '.join(labels)}" for shows, labels in named.items())
    )


def table(entries: Sequence[dict[str, Any]], choices: AnalysisOptions, study: str) -> Table:
    """Return the claims that the runs say something about; a note names the places of the others. CSV has all."""
    judged = [entry for entry in entries if entry["here"] != verdicts.NOT_RUN]
    others = sorted({entry["where"] for entry in entries if entry["here"] == verdicts.NOT_RUN})
    notes = [
        f"These runs show: same, when two one-sided tests find the difference within ±{choices.margin:g} points (or the"
        f" margin named); different (faster, slower), when a test or interval of {percent(choices.alpha)} excludes 0;"
        " else undecided. Of the claim: by its rule, from these numbers alone, in points of test error unless a ratio"
        " (x). n: the fewest trials (of speed: timed blocks) behind one of the numbers. On the paper: the same, but"
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
            Column("These runs show", "shows", wide=True),
            Column("Of the claim", "here"),
            Column("On the paper", "verdict"),
        ],
        lines=judged,
        data=entries,
        fields="claim where says measured n rule shows here verdict because".split(),
        notes=notes,
        terminal=True,
    )


def protocol_deviations(runset: RunSet, paper: Paper) -> Table:
    """Return what the paper leaves open, our choice, and where this study chose otherwise."""
    chosen = conditions.chosen()
    lines = []
    for point in paper.open_points:
        other = []
        for key in point.keys:
            default = chosen.get(key, "absent") if point.default is None else str(point.default)
            found = runset.values(key)
            if found != [default]:
                other.append(f"{key} = {' or '.join(found)}")
        line = {"point": point.point, "choice": point.choice, "key": ", ".join(point.keys) or None}
        lines.append(line | {"here": "; ".join(other) or "as chosen"})
    return Table(
        name=f"{runset.table}-deviations",
        title="What the paper leaves open, and what this study did",
        columns=[
            Column("The paper leaves open", "point", wide=True),
            Column("Choice", "choice", wide=True),
            Column("This study", "here", wide=True),
        ],
        lines=lines,
        fields="point choice key here".split(),
    )
