"""The tables for the terminal: the paper's with ours beside it, and what each network answers and costs."""

from typing import Any

from hybridsep.report.compare import Comparison
from hybridsep.report.sample import Sample
from hybridsep.report.settings import Choices
from hybridsep.report.table import MISSING, Column, Table, count, interval, number, p_value

TITLE = Column("Row", lambda line: line["title"], wide=True, place="files")
SHORT_TITLE = Column("Row", lambda line: line["label"], wide=True, place="terminal")
LABEL = Column("Row", lambda line: line["label"], wide=True)


def build(sample: Sample, comparison: Comparison, choices: Choices, frame: dict[str, Any]) -> list[Table]:
    """Return the two tables for the terminal: differences, then likeness and cost.

    `frame` is their heading and warning.
    """
    return [main_table(sample, comparison, choices, frame), likeness_table(sample, comparison, choices, frame)]


def percent(alpha: float) -> str:
    """Write the coverage of an interval: 95 %."""
    return f"{100 * (1 - alpha):g} %"


def n_of(line: dict[str, Any]) -> str:
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
        Column("n", n_of),
        Column(f"Difference [{percent(choices.alpha)}]", signed),
        *([mean_absolute] if errors_first else [Column("Error %", error)]),
        Column("p Holm", lambda line: of_variant(p_value(line["p_holm"]), line)),
        Column("Equal?", lambda line: of_variant(_equivalence(line), line)),
    ]
    lines = [*comparison.rows, _floor_line(comparison)]
    fields = (
        "row title paper mean_absolute n expected pairs mean low high absolute_mean error_mean error_sd p p_holm"
        " equivalence_p equivalent detectable disagreement params macs images_per_second"
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
    pairs = "1 pair" if floor["pairs"] == 1 else f"{floor['pairs']:,} pairs"
    return line | {
        "row": "",
        "title": f"Noise floor: two trials of the baseline ({pairs})",
        "label": f"Noise floor ({pairs})",
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
        "|d|: mean over trials of the absolute difference from the baseline (the paper's quantity). Difference:"
        f" signed mean with a {percent(choices.alpha)} {'paired t' if choices.pairing == 'paired' else 'Welch'}"
        f" interval. p: {'exact ' if exact else ''}{kind} permutation, Holm over the rows. Equal?: two one-sided"
        f" tests, margin ±{choices.margin:g} points, level {choices.alpha:g}."
    ]
    if floor["mean"] is not None:
        notes.append(
            "Noise floor: |d| of two trials of the baseline itself; groups of pairs as large as a row give"
            f" {number(floor['low'])} to {number(floor['high'])} ({percent(choices.alpha)} of them). * above that"
            " range."
        )
    if spec.paper_trials != spec.trials and any(entry.paper is not None for entry in spec.rows.values()):
        trials = "trial" if spec.paper_trials == 1 else "trials"
        notes.append(f"The paper's numbers are of {spec.paper_trials} {trials} a row, ours of n.")
    if sample.baseline != spec.baseline and spec.baseline:
        notes.append(f"Baseline: {sample.baseline}; the paper's is {spec.baseline}.")
    if not sample.runs.get(sample.baseline):
        notes.append(
            f"No finished run of the baseline {sample.baseline or choices.baseline}: there is nothing to compare with."
        )
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
        "Differs on: share of all test images on which a row and the baseline of the same trial predict different"
        " classes; seeds: the same share between two trials of the baseline. McNemar: trials in which the two are"
        " wrong on significantly different numbers of images. Detectable: smallest true difference in points that"
        f" this many trials find with {100 * choices.power:g} % probability. Images/s: training, median over"
        " trials."
    ]
    return Table(
        name=f"{sample.table}-likeness",
        title=f"{short_title(sample)}: likeness and cost",
        columns=columns,
        lines=lines,
        fields="row label disagreement seed_disagreement mcnemar detectable params macs images_per_second".split(),
        notes=notes,
        terminal=True,
        **frame,
    )


def short_title(sample: Sample) -> str:
    return sample.spec.title.split(":")[0]
