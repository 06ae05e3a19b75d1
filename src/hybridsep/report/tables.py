"""The tables of one sample that stand beside the paper's: differences, likeness and cost, intervals, noise, single trials, runs."""

from typing import Any

from hybridsep.report import heading
from hybridsep.report.compare import Comparison
from hybridsep.report.sample import Sample
from hybridsep.report.settings import Choices, Paper
from hybridsep.report.table import MISSING, Column, Table, count, interval, number, p_value

TITLE = Column("Row", lambda line: line["title"], wide=True, place="files")
SHORT_TITLE = Column("Row", lambda line: line["label"], wide=True, place="terminal")
LABEL = Column("Row", lambda line: line["label"], wide=True)


def build(sample: Sample, comparison: Comparison, choices: Choices, paper: Paper) -> list[Table]:
    """Return the sample's tables in reading order; the first two are for the terminal."""
    frame: dict[str, Any] = {
        "heading": heading.lines(sample, choices),
        "warning": heading.warning(sample, paper),
    }
    return [
        main_table(sample, comparison, choices, frame),
        likeness_table(sample, comparison, choices, frame),
        interval_table(sample, comparison, choices, frame),
        noise_table(sample, comparison, choices, frame),
        trial_table(sample, comparison, choices, frame),
        run_table(sample, frame),
    ]


def percent(alpha: float) -> str:
    """Write the coverage of an interval: 95 %."""
    return f"{100 * (1 - alpha):g} %"


def _n(line: dict[str, Any]) -> str:
    return f"{line['n']}/{line['expected']}" if line.get("expected") else str(line["n"])


def main_table(sample: Sample, comparison: Comparison, choices: Choices, frame: dict[str, Any]) -> Table:
    """The paper's table with ours beside it, and what a mean of absolute differences must be compared with."""
    floor = comparison.floor
    errors_first = sample.spec.quantity == "test_error"

    def ours(line: dict[str, Any]) -> str:
        text = number(line["mean_absolute"])
        above = floor["high"] is not None and line["row"] and (line["mean_absolute"] or 0) > floor["high"]
        return f"{text} *" if above else text

    def signed(line: dict[str, Any]) -> str:
        if not line["row"]:
            return f"groups {number(floor['low'])} to {number(floor['high'])}" if floor["mean"] is not None else MISSING
        if line["is_baseline"]:
            return ""
        mean = number(line["mean"], sign=True)
        return mean if line["low"] is None else f"{mean} {interval(line['low'], line['high'])}"

    def error(line: dict[str, Any]) -> str:
        if not line["row"]:
            return ""
        mean = number(line["error_mean"])
        return mean if line["error_sd"] is None else f"{mean} ± {number(line['error_sd'])}"

    def of_variant(text: str, line: dict[str, Any]) -> str:
        return "" if not line["row"] or line["is_baseline"] else text

    paper = Column("Paper", lambda line: number(line["paper"]) if line["paper"] is not None else "-")
    mean_absolute = Column("Ours |d|", ours)
    columns = [
        TITLE,
        SHORT_TITLE,
        paper,
        *([Column("Ours %", error)] if errors_first else [mean_absolute]),
        Column("n", _n),
        Column(f"Difference [{percent(choices.alpha)}]", signed),
        *([mean_absolute] if errors_first else [Column("Error %", error)]),
        Column("p Holm", lambda line: of_variant(p_value(line["p_holm"]), line)),
        Column("Equal?", lambda line: of_variant(_equivalence(line), line)),
    ]
    lines = [*comparison.rows, _floor_line(comparison)]
    fields = (
        "row title paper mean_absolute n expected pairs mean low high absolute_mean error_mean error_sd p p_holm equivalence_p"
        " equivalent detectable disagreement params macs images_per_second"
    ).split()
    return Table(
        name=sample.table,
        title=f"{sample.spec.title} (test error, percentage points)" if not errors_first else sample.spec.title,
        columns=columns,
        lines=lines,
        fields=fields,
        notes=_main_notes(sample, comparison, choices),
        terminal=True,
        **frame,
    )


def _floor_line(comparison: Comparison) -> dict[str, Any]:
    floor = comparison.floor
    line = dict.fromkeys(comparison.rows[0])
    return line | {
        "row": "",
        "title": f"Noise floor: two trials of the baseline ({floor['pairs']} pairs)",
        "label": f"Noise floor ({floor['pairs']} pairs)",
        "mean_absolute": floor["mean"],
        "n": floor["n"],
        "low": None,
    }


def _equivalence(line: dict[str, Any]) -> str:
    return {True: "yes", False: "not shown", None: MISSING}[line["equivalent"]]


def _main_notes(sample: Sample, comparison: Comparison, choices: Choices) -> list[str]:
    floor, spec = comparison.floor, sample.spec
    exact = all(line["exact"] in (True, None) for line in comparison.rows)
    kind = "sign-flip" if choices.pairing == "paired" else "two-sample"
    notes = [
        f"|d|: mean over trials of the absolute difference from the baseline (the paper's quantity). Difference: signed mean"
        f" with a {percent(choices.alpha)} {'paired t' if choices.pairing == 'paired' else 'Welch'} interval. p:"
        f" {'exact ' if exact else ''}{kind} permutation, Holm over the rows. Equal?: two one-sided tests, margin"
        f" ±{choices.margin:g} points, level {choices.alpha:g}."
    ]
    if floor["mean"] is not None:
        notes.append(
            f"Noise floor: |d| of two trials of the baseline itself; groups of pairs as large as a row give"
            f" {number(floor['low'])} to {number(floor['high'])} ({percent(choices.alpha)} of them). * above that range."
        )
    if spec.paper_trials != spec.trials and any(entry.paper is not None for entry in spec.rows.values()):
        trials = "trial" if spec.paper_trials == 1 else "trials"
        notes.append(f"The paper's numbers are of {spec.paper_trials} {trials} a row, ours of n.")
    if sample.baseline != spec.baseline and spec.baseline:
        notes.append(f"Baseline: {sample.baseline}; the paper's is {spec.baseline}.")
    if not sample.runs.get(sample.baseline):
        notes.append(f"No finished run of the baseline {sample.baseline or choices.baseline}: there is nothing to compare with.")
    return notes


def likeness_table(sample: Sample, comparison: Comparison, choices: Choices, frame: dict[str, Any]) -> Table:
    """What each network answers, and what it costs."""
    seed = comparison.seed_disagreement["percent"]

    def baseline_seed(line: dict[str, Any]) -> str:
        return f"{number(seed, 1)} (seeds)" if line["is_baseline"] else number(line["disagreement"], 1)

    def mcnemar(line: dict[str, Any]) -> str:
        return "" if line["is_baseline"] else f"{line['mcnemar_significant']}/{line['mcnemar_n']}"

    columns = [
        LABEL,
        Column("Differs on %", baseline_seed),
        Column(f"McNemar p<{choices.alpha:g}", mcnemar),
        Column("Detectable", lambda line: "" if line["is_baseline"] else number(line["detectable"])),
        Column("Parameters", lambda line: count(line["params"])),
        Column("MACs", lambda line: count(line["macs"])),
        Column("Images/s", lambda line: number(line["images_per_second"], 0)),
    ]
    lines = [
        line | {"seed_disagreement": seed, "mcnemar": f"{line['mcnemar_significant']}/{line['mcnemar_n']}"}
        for line in comparison.rows
    ]
    notes = [
        "Differs on: share of all test images on which a row and the baseline of the same trial predict different classes; seeds:"
        " the same share between two trials of the baseline. McNemar: trials in which the two are wrong on significantly different"
        f" numbers of images. Detectable: smallest true difference in points that this many trials find with"
        f" {100 * choices.power:g} % probability. Images/s: training, median over trials."
    ]
    return Table(
        name=f"{sample.table}-likeness",
        title=f"{_short(sample)}: likeness and cost",
        columns=columns,
        lines=lines,
        fields="row label disagreement seed_disagreement mcnemar detectable params macs images_per_second".split(),
        notes=notes,
        terminal=True,
        **frame,
    )


def _short(sample: Sample) -> str:
    return sample.spec.title.split(":")[0]


def interval_table(sample: Sample, comparison: Comparison, choices: Choices, frame: dict[str, Any]) -> Table:
    """The signed difference in every way it was estimated, and what pairing bought."""
    columns = [
        LABEL,
        Column("Mean", lambda line: number(line["mean"], sign=True)),
        Column("Paired t" if choices.pairing == "paired" else "Welch (unpaired)", lambda line: interval(line["low"], line["high"])),
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
        "row label n pairs mean difference_sd low high bootstrap_low bootstrap_high welch_low welch_high correlation ratio p"
        " permutations exact p_holm equivalence_p equivalent detectable reason"
    ).split()
    notes = [
        "Correlation: of the row's errors with the baseline's over trials (it includes sharing the evaluation images). Pairing worth:"
        " how many times more trials an unpaired design would need for the same standard error; below 1, pairing cost something."
    ]
    return Table(
        name=f"{sample.table}-intervals",
        title=f"{_short(sample)}: the signed difference, {percent(choices.alpha)} intervals and tests",
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
        title=f"{_short(sample)}: what the seed alone does",
        columns=columns,
        lines=lines,
        fields="way mean low high spread theory n pairs".split(),
        notes=[f"No noise floor: {reason}."] if reason else [],
        **frame,
    )


def trial_table(sample: Sample, comparison: Comparison, choices: Choices, frame: dict[str, Any]) -> Table:
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
        Column("Best epoch (diagnostic)", lambda line: f"{_whole(line['best_epoch'])}: {number(line['best_error_all'])}"),
    ]
    return Table(
        name=f"{sample.table}-trials",
        title=f"{_short(sample)}: every trial",
        columns=columns,
        lines=comparison.trials,
        fields="row trial error error_all difference only_row only_baseline mcnemar_p disagreement best_epoch best_error_all".split(),
        notes=["The last epoch counts. The best epoch was chosen on test images, and nothing here is computed from it."],
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
        Column("Finished", _n),
        *(Column(name.capitalize(), lambda line, name=name: line[name] or "-") for name in names),
    ]
    return Table(
        name=f"{sample.table}-runs",
        title=f"{_short(sample)}: trials by name",
        columns=columns,
        lines=lines,
        fields=["row", "n", "expected", *names],
        **frame,
    )


def ranges(trials: list[int]) -> str:
    """Write numbers as on the command line: 0..3,7."""
    parts: list[list[int]] = []
    for trial in sorted(trials):
        if parts and trial == parts[-1][-1] + 1:
            parts[-1].append(trial)
        else:
            parts.append([trial])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}..{part[-1]}" for part in parts)
