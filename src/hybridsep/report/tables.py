"""The tables of one set of runs: which values stand in which column. The formats are those of `table`."""

from functools import partial

from hybridsep.report import distances, sensitivity, table, trial_tables
from hybridsep.report.comparison import Comparison, Difference, RowResult
from hybridsep.report.runset import RunSet
from hybridsep.report.sensitivity import Sensitivity
from hybridsep.report.settings import AnalysisOptions, RowSpec
from hybridsep.report.table import (
    MISSING,
    Column,
    Table,
    bounds,
    bounds_column,
    build,
    csv_only,
    estimate_column,
    number,
    number_or_dash,
    p_or_least,
    p_value,
    percent,
    signed,
    span,
    thousandths,
)
from hybridsep.statistics.many_to_one import ManyToOne
from hybridsep.statistics.noise import MIN_PAIRS, MIN_TRIALS

LABEL: Column[RowResult] = Column("Row", lambda row: row.label, csv="label", wide=True)
ROW: Column[RowResult] = csv_only("row", lambda row: row.row)
COSTS: list[Column[RowResult]] = [
    Column("Parameters", lambda row: row.cost.params, table.count, csv="params"),
    Column("MACs", lambda row: row.cost.macs, table.count, csv="macs"),
    Column("Images/s", lambda row: row.images_per_second, table.whole, csv="images_per_second"),
]


def main_tables(runset: RunSet, comparison: Comparison, options: AnalysisOptions, declared: str = "") -> list[Table]:
    """Return the tables for the terminal; `declared`: when the tests of the distance of functions were chosen."""
    return [*against_baseline(runset, comparison, options, declared), agreement(runset, comparison, options)]


def against_baseline(
    runset: RunSet, comparison: Comparison, options: AnalysisOptions, declared: str = ""
) -> list[Table]:
    """Return the tables of the rows' differences from the baseline, by error and as functions."""
    apart = comparison.distances
    functions = [distances.table(runset, apart, options, declared)] if apart else []
    return [differences(runset, comparison, options), *many(runset, comparison, options), *functions]


def detail_tables(
    runset: RunSet, comparison: Comparison, sensitive: Sensitivity, options: AnalysisOptions
) -> list[Table]:
    """Return the tables that only the files hold, in reading order."""
    return [
        *distances.matrix(runset, comparison.distances),
        intervals(runset, comparison, options),
        trial_tables.noise(runset, comparison, options),
        trial_tables.trials(runset, comparison),
        trial_tables.states(runset),
        *(sensitivity.tables(runset, sensitive, options) if sensitive.rows else []),
    ]


def _blank(row: RowResult) -> str | None:
    """Nothing in the lines of the baseline and of the noise floor, which is no row."""
    return "" if row.is_baseline or not row.row else None


def differences(runset: RunSet, comparison: Comparison, options: AnalysisOptions) -> Table:
    """The paper's table with ours beside it, and what a mean of absolute differences must be compared with."""
    floor, decimals = comparison.floor, runset.decimals
    pairs = "1 pair" if floor.pairs == 1 else f"{floor.pairs:,} pairs"
    named = RowSpec(title=f"Noise floor: two trials of the baseline ({pairs})", label=f"Noise floor ({pairs})")
    lines = [*comparison.rows, RowResult("", named, n=floor.n, mean_absolute=floor.mean)]
    floor_range = MISSING if floor.mean is None else _floor_range(comparison, decimals)
    errors_first = runset.spec.quantity == "test_error"
    names: list[Column[RowResult]] = [
        Column("Row", lambda row: row.spec.title, csv="title", wide=True, place="files"),
        Column("Row", lambda row: row.label, wide=True, place="terminal"),
        Column("Paper", lambda row: row.spec.paper, number_or_dash, csv="paper", when=runset.of_paper),
    ]
    absolute: Column[RowResult] = Column(
        "Ours (|mean|)" if runset.of_paper and not errors_first else "|d| (|mean|)",
        lambda row: _both_readings(row, decimals),
        csv={"mean_absolute": lambda row: row.mean_absolute, "absolute_mean": _absolute_mean},
    )
    # Without its spread on the terminal, whose width it would not fit.
    of_errors = "Ours %" if errors_first else "Error %"
    errors: list[Column[RowResult]] = [
        Column(
            of_errors,
            lambda row: table.spread(row.error_mean, row.error_sd, decimals),
            csv={"error_mean": lambda row: row.error_mean, "error_sd": lambda row: row.error_sd},
            instead=lambda row: None if row.row else "",
            place="files",
        ),
        Column(
            of_errors,
            lambda row: row.error_mean,
            partial(number, decimals=decimals),
            instead=lambda row: None if row.row else "",
            place="terminal",
        ),
    ]
    differences: list[Column[RowResult]] = [
        Column(
            "n",
            lambda row: table.share(row.n, row.expected),
            csv={"n": lambda row: row.n, "expected": lambda row: row.expected},
        ),
        csv_only("pairs", lambda row: row.difference.pairs if row.row else None),
        estimate_column(
            f"Difference [{percent(options.alpha)}]",
            lambda row: row.difference.interval,
            decimals=decimals,
            instead=lambda row: _blank(row) if row.row else floor_range,
        ),
    ]
    tests: list[Column[RowResult]] = [
        csv_only("p", lambda row: row.difference.p),
        Column(
            "p Holm",
            lambda row: _tested(row.difference),
            csv={"p_holm": lambda row: row.difference.p_holm},
            instead=_blank,
        ),
        csv_only("equivalence_p", lambda row: row.difference.equivalence.p),
        csv_only("equivalence_p_holm", lambda row: row.difference.equivalence_holm.p),
        Column(
            "Equal?",
            lambda row: row.difference.equivalence_holm.equivalent,
            table.equal,
            csv="equivalent",
            instead=_blank,
        ),
        csv_only("detectable", lambda row: row.difference.detectable),
        csv_only("disagreement", lambda row: row.disagreement),
    ]
    first, last = (errors, [absolute]) if errors_first else ([absolute], errors)
    return build(
        runset.table,
        runset.spec.title if errors_first else f"{runset.spec.title} (test error, percentage points)",
        [*names, *first, *differences, *last, *tests],
        lines,
        csv=([ROW, *names, absolute, *differences, *errors, *tests, *COSTS], lines),
        notes=_notes(runset, comparison, options),
        terminal=True,
    )


def _notes(runset: RunSet, comparison: Comparison, options: AnalysisOptions) -> list[str]:
    floor, spec = comparison.floor, runset.spec
    exact = all(row.difference.permutation.exact in (True, None) for row in comparison.rows)
    paired = options.pairing == "paired"
    notes = [
        f"{_reading(runset)}; in brackets the absolute value of the mean."
        f" Difference: signed mean with a {percent(options.alpha)} {'paired t' if paired else 'Welch'} interval."
        f" p Holm: {'exact ' if exact else ''}{'sign-flip' if paired else 'two-sample'} permutation test, corrected"
        " over the rows; (least): its least possible p, so the p is no measure of how large the difference is; (t): by"
        " Student's t, because so few trials have no permutation p below the level. Equal?: two one-sided"
        f" tests, margin ±{options.margin:g} points, level {options.alpha:g}, corrected over the rows too."
    ]
    if any(row.spec.same_start and row.n for row in comparison.rows):
        named = ", ".join(row.label for row in comparison.rows if row.spec.same_start)
        notes.append(
            f"{named} begins with the baseline's own weights and shares its seeds: the noise floor, of unlike seeds, is"
            " the wrong null for it, so it has no star. What it is held against is 0."
        )
    if floor.mean is not None and comparison.too_few:
        notes.append(
            "Noise floor: |d| of two trials of the baseline itself. Too few trials to say what lies outside it: that"
            f" takes {MIN_TRIALS} trials of the baseline and {MIN_PAIRS} pairs."
        )
    elif floor.mean is not None:
        notes.append(
            "Noise floor: |d| of two trials of the baseline itself. Range: where |d| of a row that differs in nothing"
            f" but its seeds lies in {percent(options.alpha)} of studies, if errors are normal. * above that range, for"
            f" rows of {MIN_TRIALS} trials or more: a row that differs in the mean, or whose trials scatter more."
        )
    if spec.paper_trials != spec.trials and runset.of_paper:
        number_of = "1 trial" if spec.paper_trials == 1 else f"{spec.paper_trials} trials"
        notes.append(f"The paper's numbers are of {number_of} a row, ours of n.")
    if runset.baseline != spec.baseline and spec.baseline:
        notes.append(f"Baseline: {runset.baseline}; the paper's is {spec.baseline}.")
    if not runset.runs.get(runset.baseline):
        name = runset.baseline or options.baseline
        notes.append(f"No finished run of the baseline {name}: there is nothing to compare with.")
    return notes


def _absolute_mean(row: RowResult) -> float | None:
    return row.difference.absolute.absolute_mean if row.difference.absolute else None


def _both_readings(row: RowResult, decimals: int) -> str:
    """Write mean |d| and, in brackets, |mean d|, where a row has one."""
    mean, other = table.starred(row.mean_absolute, row.beyond_noise, decimals), _absolute_mean(row)
    return mean if other is None else f"{mean} ({number(other, decimals)})"


def _reading(runset: RunSet) -> str:
    if runset.of_paper and runset.spec.quantity != "test_error":
        return "Ours: mean over trials of |d|, the absolute difference from the baseline, as the paper's text reads"
    return "|d|: mean over trials of the absolute difference from the baseline"


def _tested(difference: Difference) -> str:
    """Write a corrected p, and whether it is of t, or the least that the permutations could give."""
    p, least = difference.p_holm, difference.permutation.is_least
    return p_value(p) + (" (t)" if difference.test == "t" else " (least)" if least and p is not None else "")


def _floor_range(comparison: Comparison, decimals: int) -> str:
    """Write the range of the noise floor for rows of each number of trials."""
    spans = {row.difference.pairs: span(row.floor, decimals) for row in comparison.rows if row.floor}
    if not spans:
        return "too few for a range" if comparison.too_few else f"range {span(comparison.floor, decimals)}"
    if len(spans) == 1:
        return f"range {next(iter(spans.values()))}"
    return "range " + ", ".join(f"{shown} (n = {size})" for size, shown in sorted(spans.items()))


def many(runset: RunSet, comparison: Comparison, options: AnalysisOptions) -> list[Table]:
    """All rows against the baseline at once, on all test images, where a row has trials enough."""
    lines = [(row, row.many) for row in comparison.rows if row.many]
    columns: list[Column[tuple[RowResult, ManyToOne]]] = [
        ROW.on(lambda line: line[0]),
        LABEL.on(lambda line: line[0]),
        Column("n", lambda line: line[0].n, csv="n"),
        estimate_column(
            f"Difference [{percent(options.alpha)}, all rows]",
            lambda line: line[1],
            prefix="many_",
            decimals=runset.decimals,
        ),
        Column("p Dunnett", lambda line: line[1].p, p_value, csv="many_p"),
        Column("P(better)", lambda line: line[1].better, thousandths, csv="many_better"),
        Column("P(same)", lambda line: line[1].same, thousandths, csv="many_same"),
        Column("P(worse)", lambda line: line[1].worse, thousandths, csv="many_worse"),
        csv_only("many_df", lambda line: line[1].df),
    ]
    of_all = f", on all {runset.images:,} test images" if runset.by_image else ""
    below, above = f"below -{options.margin:g}", f"above {options.margin:g}"
    if runset.spec.higher_is_better:
        below, above = above, below
    one = build(
        f"{runset.table}-many",
        f"{runset.short_title}: all rows against the baseline at once{of_all}",
        columns,
        lines,
        notes=[
            "Dunnett's test: one spread, pooled over all rows, serves every comparison; p and intervals hold for all"
            " rows together. Trials count as unpaired. P(better), P(same), P(worse): how probable it is that the true"
            f" difference lies {below}, within ±{options.margin:g}, {above} points,"
            " from the same spread, if every difference was as probable as another beforehand (a flat prior)."
        ],
        terminal=True,
    )
    return [one] if lines else []


def agreement(runset: RunSet, comparison: Comparison, options: AnalysisOptions) -> Table:
    """On how many images each network answers otherwise, and what it costs."""
    seeds = comparison.seed_disagreement.percent
    columns: list[Column[RowResult]] = [
        ROW,
        LABEL,
        Column(
            "Differs on %",
            lambda row: row.disagreement,
            table.tenth,
            csv="disagreement",
            instead=lambda row: f"{table.tenth(seeds)} (seeds)" if row.is_baseline else None,
        ),
        csv_only("seed_disagreement", lambda row: seeds),
        Column(
            f"McNemar p<{options.alpha:g}",
            lambda row: f"{row.mcnemar_significant}/{row.mcnemar_n}",
            csv="mcnemar",
            instead=_blank,
        ),
        Column("Detectable", lambda row: row.difference.detectable, number, csv="detectable", instead=_blank),
        *COSTS,
    ]
    return build(
        f"{runset.table}-agreement",
        f"{runset.short_title}: agreement and cost",
        columns,
        comparison.rows,
        notes=[
            "Differs on: share of all test images on which a row and the baseline of the same trial predict different"
            " classes; seeds: the same share between two trials of the baseline. McNemar: trials in which the two are"
            " wrong on significantly different numbers of images. Detectable: smallest true difference in points that"
            f" this many trials find with {100 * options.power:g} % probability. Images/s: training, median over"
            " trials, beside whatever else ran then: no comparison of rows, which experiment=speed is."
        ],
        terminal=True,
    )


def intervals(runset: RunSet, comparison: Comparison, options: AnalysisOptions) -> Table:
    """The signed difference in every way it was estimated, and what pairing bought."""
    decimals, ends = runset.decimals, partial(bounds, decimals=runset.decimals)
    columns: list[Column[RowResult]] = [
        ROW,
        LABEL,
        csv_only("n", lambda row: row.n),
        csv_only("pairs", lambda row: row.difference.pairs),
        Column("Mean", lambda row: row.difference.interval.mean, partial(signed, decimals=decimals), csv="mean"),
        csv_only("difference_sd", lambda row: row.difference.sd),
        bounds_column(
            "Paired t" if options.pairing == "paired" else "Welch (unpaired)",
            lambda row: row.difference.interval,
            ends,
        ),
        bounds_column("BCa bootstrap", lambda row: row.difference.bootstrap, ends, prefix="bootstrap_"),
        bounds_column("Welch", lambda row: row.difference.welch, ends, prefix="welch_"),
        Column("Correlation", lambda row: row.difference.gain.correlation, signed, csv="correlation"),
        Column(
            "Gain by pairing", lambda row: row.difference.gain.ratio, lambda ratio: table.times(ratio, 1), csv="ratio"
        ),
        csv_only("p", lambda row: row.difference.p),
        csv_only("test", lambda row: row.difference.test),
        Column(
            "Permutation p",
            lambda row: row.difference.permutation,
            p_or_least,
            csv={
                "permutation_p": lambda row: row.difference.permutation.p,
                "least": lambda row: row.difference.permutation.least,
                "permutations": lambda row: row.difference.permutation.permutations,
                "exact": lambda row: row.difference.permutation.exact,
            },
        ),
        Column("Test", lambda row: row.difference.test),
        Column("p Holm", lambda row: row.difference.p_holm, p_value, csv="p_holm"),
        Column("TOST p", lambda row: row.difference.equivalence.p, p_value, csv="equivalence_p"),
        Column("TOST p Holm", lambda row: row.difference.equivalence_holm.p, p_value, csv="equivalence_p_holm"),
        csv_only("equivalent", lambda row: row.difference.equivalence_holm.equivalent),
        csv_only("floor_low", lambda row: row.floor and row.floor.low),
        csv_only("floor_high", lambda row: row.floor and row.floor.high),
        Column(
            "Held against",
            lambda row: "its own start" if row.spec.same_start else "unlike seeds",
            csv={"same_start": lambda row: row.spec.same_start},
        ),
        csv_only("detectable", lambda row: row.difference.detectable),
        Column("Remark", lambda row: row.difference.interval.reason, csv="reason", wide=True),
    ]
    return build(
        f"{runset.table}-intervals",
        f"{runset.short_title}: the signed difference, {percent(options.alpha)} intervals and tests",
        columns,
        [row for row in comparison.rows if not row.is_baseline],
        notes=[
            "BCa bootstrap: over trials, at a level that is raised because there are few; n/a where even their whole"
            " range would cover less than it should.",
            "Correlation: of the row's errors with the baseline's over trials (it includes sharing the evaluation"
            " images). Gain by pairing: how many times more trials an unpaired design would need for the same standard"
            " error; below 1, pairing cost something.",
        ],
    )
