"""The verdicts on the claims of the paper, and the list of what the paper leaves open, both computed from the runs.

The verdict on the paper is what the runs say only if they were made under the paper's conditions; else it is
inconclusive.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from hybridsep.report import conditions, distances, verdicts
from hybridsep.report.comparison import Comparison
from hybridsep.report.declared import begun_before
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import SPEED, AnalysisOptions, Claim, OpenPoint, Paper
from hybridsep.report.speed import Speeds
from hybridsep.report.table import Column, Table, build, csv_only, dash, percent


@dataclass(frozen=True)
class Verdict:
    """A claim, its `rule` in words, and what the runs say of it: `here` by the rule, `verdict` on the paper.

    `measured` and `shows` are what was compared, over `n` trials at least; `because` says why `verdict` is not `here`.
    `exploratory`: the rule goes by the distance of functions, whose tests were chosen after some of the trials.
    """

    name: str
    claim: Claim
    rule: str
    measured: str = "-"
    n: int = 0
    shows: str = ""
    here: str = verdicts.NOT_RUN
    verdict: str = verdicts.UNDECIDED
    because: str = verdicts.NOT_RUN
    exploratory: bool = False


def judge(
    tables: Mapping[str, tuple[RunSet, Comparison]], speeds: Speeds, paper: Paper, options: AnalysisOptions
) -> list[Verdict]:
    """Return a verdict per claim of the paper, judged on its table of `tables`, or on what was measured of speed.

    A table that is the counterpart of another one judges the claims of that one again.
    """
    present = {*tables, *([SPEED] if speeds.records else [])}
    results = []
    for name, claim in _with_counterparts(paper, present).items():
        case = verdicts.Case(claim, tables, speeds, options)
        rule = verdicts.RULES[claim.rule].text.format(
            margin=case.margin, alpha=options.alpha, distance=options.distance
        )
        verdict = Verdict(name, claim, rule)
        results.append(_judge(verdict, case, paper) if claim.table in present else verdict)
    return results


def _with_counterparts(paper: Paper, present: Collection[str]) -> dict[str, Claim]:
    """Return the claims, and after each those of the tables that repeat its own under another condition.

    A table that does not repeat all rows of a claim does not judge it.
    """
    claims = {}
    for name, claim in paper.claims.items():
        claims[name] = claim
        for table, spec in paper.tables.items():
            if table in present and spec.counterpart == claim.table:
                rows, against = (
                    [here for row in part if (here := spec.row_for(row))] for part in (claim.rows, claim.against)
                )
                if (len(rows), len(against)) != (len(claim.rows), len(claim.against)):
                    continue
                where = f"{claim.where}, {spec.condition}"
                claims[f"{name}_{table}"] = replace(claim, where=where, table=table, rows=rows, against=against)
    return claims


def _judge(verdict: Verdict, case: verdicts.Case, paper: Paper) -> Verdict:
    rule = verdicts.RULES[case.claim.rule]
    evidence = rule.compare(case)
    here = verdicts.judge([rule.outcome(one, case.margin) if one.n else verdicts.NOT_RUN for one in evidence])
    deviations = sorted(_deviations(case, paper), key=lambda one: one.accepted)
    open_ = any(not one.accepted for one in deviations)
    reasons = list(map(str, deviations)) or ([here] if here == verdicts.NOT_RUN else [])
    return replace(
        verdict,
        measured="; ".join(f"{one.label} {one.text}" for one in evidence),
        n=min(one.n for one in evidence),
        shows=_shown(evidence, case.margin),
        here=here,
        verdict=verdicts.UNDECIDED if open_ or here == verdicts.NOT_RUN else here,
        because="; ".join(reasons),
        exploratory=_exploratory(case, paper),
    )


def _exploratory(case: verdicts.Case, paper: Paper) -> bool:
    if not verdicts.RULES[case.claim.rule].by_distance:
        return False
    return bool(begun_before(case.runset, [*case.claim.rows, *case.claim.against], paper.distance_declared))


def _deviations(case: verdicts.Case, paper: Paper) -> list[conditions.Deviation]:
    """Return what is not as in the paper of the rows that a claim rests on, also those of another table."""
    rows = {*case.claim.rows, *case.claim.against}
    if case.claim.table == SPEED:
        return conditions.concerning(case.speeds.deviations, rows)
    holding = [
        runset for runset, _ in case.tables.values() if runset is case.runset or rows & _only_there(case, runset)
    ]
    deviations = [conditions.concerning(conditions.of_table(one, paper), {*rows, one.baseline}) for one in holding]
    return list(dict.fromkeys(one for some in deviations for one in some))


def _only_there(case: verdicts.Case, runset: RunSet) -> set[str]:
    """Return the finished rows of a table that the claim's own table does not have."""
    return {row for row, trials in runset.runs.items() if trials} - set(case.runset.rows)


def _shown(evidence: Sequence[verdicts.Evidence], margin: float) -> str:
    """Return what the runs show whatever the claim, comparison by comparison; once where all come out alike."""
    shown = [(one.label, _what(one, margin)) for one in evidence if one.n]
    if len({what for _, what in shown}) < 2:
        return shown[0][1] if shown else ""
    return "; ".join(f"{label}: {what}" for label, what in shown)


def _what(one: verdicts.Evidence, margin: float) -> str:
    if one.shows.startswith(verdicts.SAME):
        return f"{verdicts.SAME} (±{margin:g}){one.shows.removeprefix(verdicts.SAME)}"
    if one.probable and one.shows.startswith(verdicts.UNCLEAR):
        return f"{verdicts.UNCLEAR} {one.probable}{one.shows.removeprefix(verdicts.UNCLEAR)}"
    return one.shows


def table(judged: Sequence[Verdict], paper: Paper, options: AnalysisOptions, study: str) -> Table:
    """Return the claims that the runs say something about; a note names the places of the others. CSV has all."""
    others = sorted({one.claim.where for one in judged if one.here == verdicts.NOT_RUN})
    notes = []
    if any(one.exploratory for one in judged):
        notes.append(
            distances.EXPLORATORY.format(chosen=distances.TESTS_AND_LIMIT, declared=paper.distance_declared)
            + ", or after some of them. Trials that are begun later are not marked."
        )
    if others:
        notes.append(f"Claims that these runs do not touch: {', '.join(others)}.")
    judged_here = [one for one in judged if one.here != verdicts.NOT_RUN]
    rules = {_rule_name(one): one.rule for one in judged_here}
    columns: list[Column[Verdict]] = [
        csv_only("claim", lambda one: one.name),
        Column("Where", lambda one: one.claim.where, csv="where", wide=True),
        Column("The paper says", lambda one: one.claim.says, csv="says", wide=True),
        Column(
            "Measured here",
            lambda one: one.measured,
            csv="measured",
            wide=True,
            place="files",
            note="Measured here: in points of test error, unless a ratio (x).",
        ),
        Column(
            "n",
            lambda one: one.n,
            csv="n",
            note="n: the fewest trials (of speed: timed blocks) behind one of the numbers.",
        ),
        Column(
            "Rule",
            _rule_name,
            csv={"rule": lambda one: one.rule},
            place="files",
            note=f"Rules: {'; '.join(f'{name}: {text}' for name, text in rules.items())}.",
        ),
        Column(
            "These runs show",
            lambda one: one.shows,
            csv="shows",
            wide=True,
            note="These runs show: same, when two one-sided tests find the difference within"
            f" ±{options.margin:g} points (or the margin named); different (faster, slower), when a test or interval of"
            f" {percent(options.alpha)} excludes 0; else undecided. Tests are corrected over the rows of a table, or"
            " over the comparisons of a claim; a claim of several comparisons is judged by intervals that hold for all"
            " of them together.",
        ),
        Column(
            "Of the claim",
            lambda one: f"{one.here} (exploratory)" if one.exploratory else one.here,
            csv={"here": lambda one: one.here, "exploratory": lambda one: one.exploratory},
            note="Of the claim: by its rule, from these runs alone.",
        ),
        Column(
            "On the paper",
            lambda one: one.verdict,
            csv="verdict",
            note=f"On the paper: the same, but {verdicts.UNDECIDED} unless the runs were made under the paper's"
            " conditions (conf/report/paper.yaml).",
        ),
        csv_only("because", lambda one: one.because),
    ]
    return build(
        "verdicts",
        f"Verdicts on the paper's claims from study {study}",
        columns,
        judged_here,
        csv=(columns, judged),
        notes=notes,
        terminal=True,
    )


def _rule_name(one: Verdict) -> str:
    name = one.claim.rule.replace("_", " ")
    return name if one.claim.margin is None else f"{name} (±{one.claim.margin:g})"


def protocol_deviations(runset: RunSet, paper: Paper) -> Table:
    """Return what the paper leaves open, our choice, and where this study chose otherwise."""
    chosen = conditions.chosen()
    columns: list[Column[tuple[OpenPoint, str]]] = [
        Column("The paper leaves open", lambda line: line[0].point, csv="point", wide=True),
        Column("Choice", lambda line: line[0].choice, csv="choice", wide=True),
        Column("Other readings, as options", lambda line: line[0].options, dash, csv="options", wide=True),
        csv_only("key", lambda line: ", ".join(line[0].keys)),
        Column("This study", lambda line: line[1], csv="here", wide=True),
    ]
    lines = []
    for point in paper.open_points:
        others = []
        for key in point.keys:
            default = chosen.get(key, "absent") if point.default is None else str(point.default)
            values = runset.values(key)
            if values != [default]:
                others.append(f"{key} = {' or '.join(values)}")
        lines.append((point, "; ".join(others) or "as chosen"))
    title = "What the paper leaves open, and what this study did"
    return build(f"{runset.table}-deviations", title, columns, lines)
