"""The tables of one sample that only the files hold: intervals, noise, single trials, and which trials there are."""

from typing import Any

from hybridsep.report.compare import Comparison
from hybridsep.report.sample import Sample
from hybridsep.report.settings import Choices
from hybridsep.report.table import MISSING, Column, Table, interval, number, p_value, ranges
from hybridsep.report.tables import LABEL, n_of, percent, short_title


def build(sample: Sample, comparison: Comparison, choices: Choices, frame: dict[str, Any]) -> list[Table]:
    """Return the tables in reading order; `frame` is their heading and warning."""
    return [
        interval_table(sample, comparison, choices, frame),
        noise_table(sample, comparison, choices, frame),
        trial_table(sample, comparison, frame),
        run_table(sample, frame),
    ]


def interval_table(sample: Sample, comparison: Comparison, choices: Choices, frame: dict[str, Any]) -> Table:
    """The signed difference in every way it was estimated, and what pairing bought."""
    columns = [
        LABEL,
        Column("Mean", lambda line: number(line["mean"], sign=True)),
        Column(
            "Paired t" if choices.pairing == "paired" else "Welch (unpaired)",
            lambda line: interval(line["low"], line["high"]),
        ),
        Column("BCa bootstrap", lambda line: interval(line["bootstrap_low"], line["bootstrap_high"])),
        Column("Welch", lambda line: interval(line["welch_low"], line["welch_high"])),
        Column("Correlation", lambda line: number(line["correlation"], sign=True)),
        Column("Pairing worth", lambda line: f"x {number(line['ratio'], 1)}" if line["ratio"] is not None else MISSING),
        Column("p", lambda line: p_value(line["p"])),
        Column("p Holm", lambda line: p_value(line["p_holm"])),
        Column("TOST p", lambda line: p_value(line["equivalence_p"])),
        Column("Remark", lambda line: line["reason"] or "", wide=True),
    ]
    lines = [line for line in comparison.rows if not line["is_baseline"]]
    fields = (
        "row label n pairs mean difference_sd low high bootstrap_low bootstrap_high welch_low welch_high"
        " correlation ratio p permutations exact p_holm equivalence_p equivalent detectable reason"
    ).split()
    notes = [
        "Correlation: of the row's errors with the baseline's over trials (it includes sharing the evaluation"
        " images). Pairing worth: how many times more trials an unpaired design would need for the same standard"
        " error; below 1, pairing cost something."
    ]
    return Table(
        name=f"{sample.table}-intervals",
        title=f"{short_title(sample)}: the signed difference, {percent(choices.alpha)} intervals and tests",
        columns=columns,
        lines=lines,
        fields=fields,
        notes=notes,
        **frame,
    )


def noise_table(sample: Sample, comparison: Comparison, choices: Choices, frame: dict[str, Any]) -> Table:
    """The noise floor in both ways of choosing images, and what theory expects of it."""
    names = {"same": "Both judged on the same images (as rows are)", "own": "Each judged on its own images"}
    lines = [
        {"way": way, "what": names[way], **floor, "theory": floor["theory"] if way == "own" else None}
        for way, floor in comparison.floors.items()
    ]
    columns = [
        Column("Pairs of baseline trials", lambda line: line["what"], wide=True),
        Column("Mean |d|", lambda line: number(line["mean"])),
        Column(f"Groups, {percent(choices.alpha)}", lambda line: f"{number(line['low'])} to {number(line['high'])}"),
        Column("s over trials", lambda line: number(line["spread"])),
        Column("2 s / sqrt(pi)", lambda line: number(line["theory"]) if line["theory"] is not None else "-"),
        Column("Trials", lambda line: str(line["n"])),
        Column("Pairs", lambda line: str(line["pairs"])),
    ]
    reason = comparison.floor["reason"]
    return Table(
        name=f"{sample.table}-noise",
        title=f"{short_title(sample)}: what the seed alone does",
        columns=columns,
        lines=lines,
        fields="way mean low high spread theory n pairs".split(),
        notes=[f"No noise floor: {reason}."] if reason else [],
        **frame,
    )


def trial_table(sample: Sample, comparison: Comparison, frame: dict[str, Any]) -> Table:
    """Every finished trial by itself."""
    columns = [
        LABEL,
        Column("Trial", lambda line: str(line["trial"])),
        Column("Error %", lambda line: number(line["error"])),
        Column("On all images", lambda line: number(line["error_all"])),
        Column("Difference", lambda line: number(line["difference"], sign=True)),
        Column("Only it wrong", lambda line: _whole(line["only_row"])),
        Column("Only baseline wrong", lambda line: _whole(line["only_baseline"])),
        Column("McNemar p", lambda line: p_value(line["mcnemar_p"])),
        Column(
            "Best epoch (diagnostic)", lambda line: f"{_whole(line['best_epoch'])}: {number(line['best_error_all'])}"
        ),
    ]
    fields = "row trial error error_all difference only_row only_baseline mcnemar_p disagreement".split()
    fields += ["best_epoch", "best_error_all"]
    return Table(
        name=f"{sample.table}-trials",
        title=f"{short_title(sample)}: every trial",
        columns=columns,
        lines=comparison.trials,
        fields=fields,
        notes=[
            "The last epoch counts. The best epoch was chosen on test images, and nothing here is computed from it."
        ],
        **frame,
    )


def _whole(value: int | None) -> str:
    return "" if value is None else str(value)


def run_table(sample: Sample, frame: dict[str, Any]) -> Table:
    """Which trials each row has, and which are unfinished or missing, by name."""
    lines = []
    for row in sample.rows:
        unfinished = {run.trial: run.status for run in sample.others if run.row == row}
        finished = set(sample.runs[row])
        states = {
            status: [trial for trial, found in sorted(unfinished.items()) if found == status]
            for status in ("running", "interrupted", "diverged", "failed")
        }
        missing = [trial for trial in sample.trials[row] if trial not in finished and trial not in unfinished]
        lines.append(
            {"row": row, "label": sample.row(row).label or row, "n": len(finished), "expected": len(sample.trials[row])}
            | {key: ranges(trials) for key, trials in (states | {"missing": missing}).items()}
        )
    names = ("running", "interrupted", "diverged", "failed", "missing")
    columns = [
        LABEL,
        Column("Finished", n_of),
        *(Column(name.capitalize(), lambda line, name=name: line[name] or "-") for name in names),
    ]
    return Table(
        name=f"{sample.table}-runs",
        title=f"{short_title(sample)}: trials by name",
        columns=columns,
        lines=lines,
        fields=["row", "n", "expected", *names],
        **frame,
    )
