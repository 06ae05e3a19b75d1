"""The tables of one set of runs: which values stand in which column. The formats are those of `table`."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from hybridsep.config.trials import ranges
from hybridsep.report import distances, table
from hybridsep.report.comparison import Comparison
from hybridsep.report.runset import RunSet
from hybridsep.report.sensitivity import Sensitivity
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import MISSING, Column, Table, interval, number, p_value, percent, signed, span, text
from hybridsep.statistics.noise import MIN_PAIRS, MIN_TRIALS

LABEL = Column("Row", "label", wide=True)
STATES = ("running", "interrupted", "diverged", "failed", "missing")


def main_tables(runset: RunSet, found: Comparison, choices: AnalysisOptions) -> list[Table]:
    """Return the tables for the terminal."""
    return [
        differences(runset, found, choices),
        *([many(runset, found, choices)] if any(line.get("many_p") is not None for line in found.rows) else []),
        *(distances.tables(runset, found.distances, choices)[:1] if found.distances else []),
        agreement(runset, found, choices),
    ]


def detail_tables(runset: RunSet, found: Comparison, sensitivity: Sensitivity, choices: AnalysisOptions) -> list[Table]:
    """Return the tables that only the files hold, in reading order."""
    return [
        *(distances.tables(runset, found.distances, choices)[1:] if found.distances else []),
        intervals(runset, found, choices),
        noise(runset, found, choices),
        trials(runset, found),
        states(runset),
        *(protocols(runset, sensitivity, choices) if sensitivity.choices else []),
    ]


def differences(runset: RunSet, found: Comparison, choices: AnalysisOptions) -> Table:
    """The paper's table with ours beside it, and what a mean of absolute differences must be compared with."""
    errors_first = runset.spec.quantity == "test_error"
    absolute = Column("Ours |d|", ("mean_absolute", "beyond_noise"), table.starred)
    signed_first = Column("|mean d|", "absolute_mean", number, place="files")
    error = Column("Ours %" if errors_first else "Error %", ("error_mean", "error_sd"), table.spread)
    first, last = (error, absolute) if errors_first else (absolute, error)
    columns = [
        Column("Row", "title", wide=True, place="files"),
        Column("Row", "label", wide=True, place="terminal"),
        *([Column("Paper", "paper", lambda value: "-" if value is None else number(value))] if runset.of_paper else []),
        first,
        Column("n", ("n", "expected"), table.share),
        Column(f"Difference [{percent(choices.alpha)}]", ("mean", "low", "high"), table.estimate),
        last,
        signed_first,
        Column("p Holm", ("p_holm", "test", "is_least"), _tested),
        Column("Equal?", "equivalent", table.equal),
    ]
    floor = found.floor
    pairs = "1 pair" if floor.pairs == 1 else f"{floor.pairs:,} pairs"
    floor_line = dict.fromkeys(found.rows[0]) | {
        "row": "",
        "title": f"Noise floor: two trials of the baseline ({pairs})",
        "label": f"Noise floor ({pairs})",
        "mean_absolute": floor.mean,
        "n": floor.n,
    }
    blank = {"p_holm": "", "equivalent": "", "absolute_mean": ""}
    floor_range = _floor_range(found)
    lines = [line | (blank | {"mean": ""} if line["is_baseline"] else {}) for line in found.rows]
    lines.append(floor_line | blank | {"mean": MISSING if floor.mean is None else floor_range, "error_mean": ""})
    fields = (
        "row title paper mean_absolute n expected pairs mean low high absolute_mean error_mean error_sd p p_holm"
        " equivalence_p equivalence_p_holm equivalent detectable disagreement params macs images_per_second"
    ).split()
    title = runset.spec.title
    return Table(
        name=runset.table,
        title=title if errors_first else f"{title} (test error, percentage points)",
        columns=columns,
        lines=lines,
        data=[*found.rows, floor_line],
        fields=fields,
        notes=_notes(runset, found, choices),
        terminal=True,
    )


def _notes(runset: RunSet, found: Comparison, choices: AnalysisOptions) -> list[str]:
    floor, spec = found.floor, runset.spec
    exact = all(line["exact"] in (True, None) for line in found.rows)
    paired = choices.pairing == "paired"
    notes = [
        f"|d|: mean over trials of the absolute difference from the baseline{' (as in the paper)' * runset.of_paper}."
        f" Difference: signed mean with a {percent(choices.alpha)} {'paired t' if paired else 'Welch'} interval."
        " |mean d|: the other reading of the text, the absolute value of the mean."
        f" p Holm: {'exact ' if exact else ''}{'sign-flip' if paired else 'two-sample'} permutation test, corrected"
        " over the rows; (least): its least possible p, so the p is no measure of how large the difference is; (t): by"
        " Student's t, because so few trials have no permutation p below the level. Equal?: two one-sided"
        f" tests, margin ±{choices.margin:g} points, level {choices.alpha:g}, corrected over the rows too."
    ]
    if any(line["same_start"] and line["n"] for line in found.rows):
        named = ", ".join(line["label"] for line in found.rows if line["same_start"])
        notes.append(
            f"{named} begins with the baseline's own weights and shares its seeds: the noise floor, of unlike seeds, is"
            " the wrong null for it, so it has no star. What it is held against is 0."
        )
    if floor.mean is not None and found.too_few:
        notes.append(
            "Noise floor: |d| of two trials of the baseline itself. Too few trials to say what lies outside it: that"
            f" takes {MIN_TRIALS} trials of the baseline and {MIN_PAIRS} pairs."
        )
    elif floor.mean is not None:
        notes.append(
            "Noise floor: |d| of two trials of the baseline itself. Range: where |d| of a row that differs in nothing"
            f" but its seeds lies in {percent(choices.alpha)} of studies, if errors are normal. * above that range, for"
            f" rows of {MIN_TRIALS} trials or more: a row that differs in the mean, or whose trials scatter more."
        )
    if spec.paper_trials != spec.trials and any(entry.paper is not None for entry in spec.rows.values()):
        number_of = "1 trial" if spec.paper_trials == 1 else f"{spec.paper_trials} trials"
        notes.append(f"The paper's numbers are of {number_of} a row, ours of n.")
    if runset.baseline != spec.baseline and spec.baseline:
        notes.append(f"Baseline: {runset.baseline}; the paper's is {spec.baseline}.")
    if not runset.runs.get(runset.baseline):
        name = runset.baseline or choices.baseline
        notes.append(f"No finished run of the baseline {name}: there is nothing to compare with.")
    return notes


def _tested(p: float | None, test: str | None, is_least: bool | None) -> str:
    """Write a corrected p, and whether it is of t, or the least that the permutations could give."""
    return p_value(p) + (" (t)" if test == "t" else " (least)" if is_least and p is not None else "")


def _floor_range(found: Comparison) -> str:
    """Write the range of the noise floor for rows of each number of trials."""
    ranges = {line["pairs"]: span(line["floor_low"], line["floor_high"]) for line in found.rows if line["floor_high"]}
    if not ranges:
        return "too few for a range" if found.too_few else f"range {span(found.floor.low, found.floor.high)}"
    if len(ranges) == 1:
        return f"range {next(iter(ranges.values()))}"
    return "range " + ", ".join(f"{shown} (n = {size})" for size, shown in sorted(ranges.items()))


def many(runset: RunSet, found: Comparison, choices: AnalysisOptions) -> Table:
    """All rows against the baseline at once, on all test images."""
    chances = [
        Column(f"P({name})", f"many_{name}", lambda value: number(value, 3)) for name in ("better", "same", "worse")
    ]
    of_all = f", on all {runset.images:,} test images" if runset.images else ""
    return Table(
        name=f"{runset.table}-many",
        title=f"{runset.short_title}: all rows against the baseline at once{of_all}",
        columns=[
            LABEL,
            Column("n", "n"),
            Column(
                f"Difference [{percent(choices.alpha)}, all rows]",
                ("many_mean", "many_low", "many_high"),
                table.estimate,
            ),
            Column("p Dunnett", "many_p", p_value),
            *chances,
        ],
        lines=[line for line in found.rows if line.get("many_p") is not None],
        fields="row label n many_mean many_low many_high many_p many_better many_same many_worse many_df".split(),
        notes=[
            "Dunnett's test: one spread, pooled over all rows, serves every comparison; p and intervals hold for all"
            " rows together. Trials count as unpaired. P(better), P(same), P(worse): how probable it is that the true"
            f" difference lies below -{choices.margin:g}, within ±{choices.margin:g}, above {choices.margin:g} points,"
            " from the same spread, if every difference was as probable as another beforehand (a flat prior)."
        ],
        terminal=True,
    )


def agreement(runset: RunSet, found: Comparison, choices: AnalysisOptions) -> Table:
    """On how many images each network answers otherwise, and what it costs."""
    seed = found.seed_disagreement.percent
    significant = Column("mcnemar", ("mcnemar_significant", "mcnemar_n"), lambda some, of: f"{some}/{of}")
    data = [line | {"seed_disagreement": seed, "mcnemar": significant.cell(line)} for line in found.rows]
    of_baseline = {"disagreement": f"{table.tenth(seed)} (seeds)", "mcnemar": "", "detectable": ""}
    return Table(
        name=f"{runset.table}-agreement",
        title=f"{runset.short_title}: agreement and cost",
        columns=[
            LABEL,
            Column("Differs on %", "disagreement", table.tenth),
            Column(f"McNemar p<{choices.alpha:g}", "mcnemar"),
            Column("Detectable", "detectable", number),
            Column("Parameters", "params", table.count),
            Column("MACs", "macs", table.count),
            Column("Images/s", "images_per_second", table.whole),
        ],
        lines=[line | (of_baseline if line["is_baseline"] else {}) for line in data],
        data=data,
        fields="row label disagreement seed_disagreement mcnemar detectable params macs images_per_second".split(),
        notes=[
            "Differs on: share of all test images on which a row and the baseline of the same trial predict different"
            " classes; seeds: the same share between two trials of the baseline. McNemar: trials in which the two are"
            " wrong on significantly different numbers of images. Detectable: smallest true difference in points that"
            f" this many trials find with {100 * choices.power:g} % probability. Images/s: training, median over"
            " trials."
        ],
        terminal=True,
    )


def intervals(runset: RunSet, found: Comparison, choices: AnalysisOptions) -> Table:
    """The signed difference in every way it was estimated, and what pairing bought."""
    return Table(
        name=f"{runset.table}-intervals",
        title=f"{runset.short_title}: the signed difference, {percent(choices.alpha)} intervals and tests",
        columns=[
            LABEL,
            Column("Mean", "mean", signed),
            Column("Paired t" if choices.pairing == "paired" else "Welch (unpaired)", ("low", "high"), interval),
            Column("BCa bootstrap", ("bootstrap_low", "bootstrap_high"), interval),
            Column("Welch", ("welch_low", "welch_high"), interval),
            Column("Correlation", "correlation", signed),
            Column("Gain by pairing", "ratio", lambda value: table.times(value, 1)),
            Column("Permutation p", ("permutation_p", "is_least"), distances.p_or_least),
            Column("Test", "test"),
            Column("p Holm", "p_holm", p_value),
            Column("TOST p", "equivalence_p", p_value),
            Column("TOST p Holm", "equivalence_p_holm", p_value),
            Column("Held against", "same_start", _null),
            Column("Remark", "reason", wide=True),
        ],
        lines=[line for line in found.rows if not line["is_baseline"]],
        fields=(
            "row label n pairs mean difference_sd low high bootstrap_low bootstrap_high welch_low welch_high"
            " correlation ratio p test permutation_p least permutations exact p_holm equivalence_p equivalence_p_holm"
            " equivalent floor_low floor_high same_start detectable reason"
        ).split(),
        notes=[
            "BCa bootstrap: over trials, at a level that is raised because there are few; n/a where even their whole"
            " range would cover less than it should.",
            "Correlation: of the row's errors with the baseline's over trials (it includes sharing the evaluation"
            " images). Gain by pairing: how many times more trials an unpaired design would need for the same standard"
            " error; below 1, pairing cost something.",
        ],
    )


def _null(same_start: bool) -> str:
    return "its own start" if same_start else "unlike seeds"


def noise(runset: RunSet, found: Comparison, choices: AnalysisOptions) -> Table:
    """The noise floor in both ways of choosing images, and what theory expects of it."""
    names = {"same": "Both judged on the same images (as rows are)", "own": "Each judged on its own images"}
    lines = [
        {"way": way, "what": names[way], **asdict(floor), "theory": floor.theory if way == "own" else None}
        | {"predicted": getattr(found.predicted, way, None)}
        for way, floor in found.floors.items()
    ]
    reason = found.floor.reason
    return Table(
        name=f"{runset.table}-noise",
        title=f"{runset.short_title}: what the seed alone does",
        columns=[
            Column("Pairs of baseline trials", "what", wide=True),
            Column("Mean |d|", "mean", number),
            Column(f"Range, {percent(choices.alpha)}", ("low", "high"), span),
            Column("s over trials", "spread", number),
            Column("2 s / sqrt(pi)", "theory", lambda value: "-" if value is None else number(value)),
            Column("Predicted |d|", "predicted", number),
            Column("Trials", "n"),
            Column("Pairs", "pairs"),
        ],
        lines=lines,
        fields="way mean low high spread theory predicted n pairs".split(),
        notes=[
            f"No noise floor: {reason}."
            if reason
            else "Predicted: the mean |d| of two trials that err independently on every image, each as often as the"
            " trials of the baseline do (Jordan, arXiv 2304.01910)."
        ],
    )


def trials(runset: RunSet, found: Comparison) -> Table:
    """Every finished trial by itself."""
    return Table(
        name=f"{runset.table}-trials",
        title=f"{runset.short_title}: every trial",
        columns=[
            LABEL,
            Column("Trial", "trial"),
            Column("Error %", "error", number),
            Column("On all images", "error_all", number),
            Column("Difference", "difference", signed),
            Column("Only it wrong", "only_row"),
            Column("Only baseline wrong", "only_baseline"),
            Column("McNemar p", "mcnemar_p", p_value),
            Column(
                "Best epoch (diagnostic)",
                ("best_epoch", "best_error_all"),
                lambda epoch, error: f"{text(epoch)}: {number(error)}",
            ),
        ],
        lines=found.trials,
        fields=(
            "row trial error error_all difference only_row only_baseline mcnemar_p disagreement best_epoch"
            " best_error_all"
        ).split(),
        notes=["The last epoch counts. The best epoch was chosen on test images; nothing here is computed from it."],
    )


def states(runset: RunSet) -> Table:
    """Which trials each row has, and which are unfinished or missing, by name."""
    lines = []
    for row in runset.rows:
        unfinished = {run.trial: run.status for run in runset.others if run.row == row}
        finished = runset.runs[row]
        by_state = {state: [trial for trial, own in unfinished.items() if own == state] for state in STATES}
        by_state["missing"] = [trial for trial in runset.trials[row] if trial not in {*finished, *unfinished}]
        line = {
            "row": row,
            "label": runset.row(row).label or row,
            "n": len(finished),
            "expected": len(runset.trials[row]),
        }
        lines.append(line | {state: ranges(trials) or None for state, trials in by_state.items()})
    return Table(
        name=f"{runset.table}-runs",
        title=f"{runset.short_title}: trials by name",
        columns=[
            LABEL,
            Column("Finished", ("n", "expected"), table.share),
            *(Column(state.capitalize(), state, table.dash) for state in STATES),
        ],
        lines=lines,
        fields=["row", "n", "expected", *STATES],
    )


def protocols(runset: RunSet, found: Sensitivity, choices: AnalysisOptions) -> list[Table]:
    """|d| and the signed difference under other choices of images and pairing, and the ranking under redraws."""
    protocol = list(dict.fromkeys((entry["pairing"], entry["subset"], entry["images"]) for entry in found.choices))
    protocol.sort(key=lambda one: one[0] != "paired")
    rows: dict[str, dict[str, Any]] = {}
    floor: dict[str, Any] = {"label": "Noise floor, mean |d|"}
    for entry in found.choices:
        key = f"{entry['pairing']} {entry['subset']} "
        line = rows.setdefault(entry["row"], {"label": entry["label"]})
        line |= {key + name: value for name, value in entry.items()}
        floor[key + "mean_absolute"] = number(entry["floor"])

    def columns(keys: tuple[str, ...], show: Callable[..., str]) -> list[Column]:
        names = {"paper": "{:,} per trial", "fixed": "{:,} fixed", "all": "all {:,}"}
        return [LABEL] + [
            Column(
                f"{names[subset].format(images)}, {pairing}", tuple(f"{pairing} {subset} {key}" for key in keys), show
            )
            for pairing, subset, images in protocol
        ]

    fields = ["row", "subset", "images", "pairing"]
    return [
        Table(
            name=f"{runset.table}-sensitivity",
            title=f"{runset.short_title}: mean |d| (and |mean d|) under other choices, points",
            columns=columns(
                ("mean_absolute", "absolute_mean"), lambda mean, other: f"{number(mean)} ({number(other)})"
            ),
            lines=[*rows.values(), floor],
            data=found.choices,
            fields=[*fields, "mean_absolute", "absolute_mean", "floor"],
            notes=[
                "Each column is a protocol: which test images count, and whether trial t is held against trial t"
                " or every trial against all unlike ones. In brackets the absolute value of the"
                " mean, in place of the mean of absolute values."
            ],
        ),
        Table(
            name=f"{runset.table}-sensitivity-signed",
            title=f"{runset.short_title}: signed difference and equivalence (±{choices.margin:g} points) under other"
            " choices",
            columns=columns(
                ("mean", "low", "high", "equivalent"),
                lambda mean, low, high, equal: f"{signed(mean)} {interval(low, high)}{' =' if equal else ''}",
            ),
            lines=list(rows.values()),
            data=found.choices,
            fields=[*fields, "mean", "low", "high", "equivalent"],
            notes=["= : the two one-sided tests find the row equivalent to the baseline."],
        ),
        ranking(runset, found, choices),
    ]


def ranking(runset: RunSet, found: Sensitivity, choices: AnalysisOptions) -> Table:
    """How steady the ranking of the rows by mean |d| is when every trial's test images are drawn again."""
    redraws = found.redraws
    note = (
        f"No redraws: {redraws['reason']}."
        if redraws["reason"]
        else f"In {number(redraws['changed'], 1)} % of {redraws['draws']:,} redraws of {redraws['images']:,} images"
        " per trial the rows are ranked otherwise than on the report's own images. Rank 1 is nearest to the baseline."
    )
    return Table(
        name=f"{runset.table}-ranking",
        title=f"{runset.short_title}: does the ranking depend on which images were drawn?",
        columns=[
            LABEL,
            Column("Mean |d|", "own", number),
            Column(f"Redraws, {percent(choices.alpha)}", ("low", "high"), span),
            Column("Rank", "rank"),
            Column("Same rank in", "same_rank", lambda value: f"{number(value, 1)} %"),
            Column("Ranks seen", ("best_rank", "worst_rank"), lambda best, worst: f"{best} to {worst}"),
        ],
        lines=found.ranks,
        fields="row own low high rank same_rank best_rank worst_rank".split(),
        notes=[note],
    )
