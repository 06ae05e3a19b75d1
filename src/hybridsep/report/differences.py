"""The main table: the paper's numbers and ours beside them, and what a mean of absolute differences is held against."""

from functools import partial

from hybridsep.report import table
from hybridsep.report.comparison import Comparison, Difference, RowResult
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions, RowSpec
from hybridsep.report.table import (
    MISSING,
    Column,
    Table,
    build,
    csv_only,
    estimate_column,
    number,
    number_or_dash,
    p_value,
    percent,
    span,
)
from hybridsep.statistics.noise import MIN_PAIRS, MIN_TRIALS

LABEL: Column[RowResult] = Column("Row", lambda row: row.label, csv="label", wide=True)
ROW: Column[RowResult] = csv_only("row", lambda row: row.row)
COSTS: list[Column[RowResult]] = [
    Column("Parameters", lambda row: row.cost.params, table.count, csv="params"),
    Column("MACs", lambda row: row.cost.macs, table.count, csv="macs"),
    Column(
        "Images/s",
        lambda row: row.images_per_second,
        table.whole,
        csv="images_per_second",
        note="Images/s: training, median over trials, beside whatever else ran then; experiment=speed compares rows.",
    ),
]


def differences(runset: RunSet, comparison: Comparison, options: AnalysisOptions) -> Table:
    """The paper's table with ours beside it, and what a mean of absolute differences must be compared with."""
    floor = comparison.floor
    pairs = "1 pair" if floor.pairs == 1 else f"{floor.pairs:,} pairs"
    named = RowSpec(title=f"Noise floor: two trials of the baseline ({pairs})", label=f"Noise floor ({pairs})")
    lines = [*comparison.rows, RowResult("", named, n=floor.n, mean_absolute=floor.mean)]
    columns, in_csv = columns_of(runset, comparison, options)
    points = "" if runset.spec.quantity == "test_error" else " (percentage points)"
    return build(
        runset.table,
        f"{runset.spec.title}{points}",
        columns,
        lines,
        csv=(in_csv, lines),
        notes=_notes(runset, comparison, options),
        terminal=True,
    )


def blank(row: RowResult) -> str | None:
    """Nothing in the lines of the baseline and of the noise floor, which is no row."""
    return "" if row.is_baseline or not row.row else None


def columns_of(
    runset: RunSet, comparison: Comparison, options: AnalysisOptions
) -> tuple[list[Column[RowResult]], list[Column[RowResult]]]:
    """Return the columns of `differences`, and those of its CSV file in their order there."""
    floor, decimals = comparison.floor, runset.decimals
    floor_range = MISSING if floor.mean is None else _floor_range(comparison, decimals)
    errors_first, paired = runset.spec.quantity == "test_error", options.pairing == "paired"
    exact = all(row.difference.permutation.exact in (True, None) for row in comparison.rows)
    names: list[Column[RowResult]] = [
        Column("Row", lambda row: row.spec.title, csv="title", wide=True, place="files"),
        Column("Row", lambda row: row.label, wide=True, place="terminal"),
        Column("Paper", lambda row: row.spec.paper, number_or_dash, csv="paper", when=runset.of_paper),
    ]
    absolute: Column[RowResult] = Column(
        "Ours (|mean|)" if runset.of_paper and not errors_first else "|d| (|mean|)",
        lambda row: _both_readings(row, decimals),
        csv={"mean_absolute": lambda row: row.mean_absolute, "absolute_mean": _absolute_mean},
        note=f"{_reading(runset)}; in brackets the absolute value of the mean.",
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
            instead=lambda row: blank(row) if row.row else floor_range,
            note=f"Difference: signed mean with a {percent(options.alpha)} {'paired t' if paired else 'Welch'}"
            " interval.",
        ),
    ]
    tests: list[Column[RowResult]] = [
        csv_only("p", lambda row: row.difference.p),
        Column(
            "p Holm",
            lambda row: _tested(row.difference),
            csv={"p_holm": lambda row: row.difference.p_holm},
            instead=blank,
            note=f"p Holm: {'exact ' if exact else ''}{'sign-flip' if paired else 'two-sample'} permutation test,"
            " corrected over the rows; (least): its least possible p, so the p is no measure of how large the"
            " difference is; (t): by Student's t, because so few trials have no permutation p below the level.",
        ),
        csv_only("equivalence_p", lambda row: row.difference.equivalence.p),
        csv_only("equivalence_p_holm", lambda row: row.difference.equivalence_holm.p),
        Column(
            "Equal?",
            lambda row: row.difference.equivalence_holm.equivalent,
            _equal,
            csv="equivalent",
            instead=blank,
            note=f"Equal?: two one-sided tests, margin ±{options.margin:g} points, level {options.alpha:g}, corrected"
            " over the rows too.",
        ),
        csv_only("detectable", lambda row: row.difference.detectable),
        csv_only("disagreement", lambda row: row.disagreement),
    ]
    first, last = (errors, [absolute]) if errors_first else ([absolute], errors)
    columns = [*names, *first, *differences, *last, *tests]
    return columns, [ROW, *names, absolute, *differences, *errors, *tests, *COSTS]


def _notes(runset: RunSet, comparison: Comparison, options: AnalysisOptions) -> list[str]:
    floor, spec = comparison.floor, runset.spec
    notes = []
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
    mean, other = number(row.mean_absolute, decimals) + (" *" if row.beyond_noise else ""), _absolute_mean(row)
    return mean if other is None else f"{mean} ({number(other, decimals)})"


def _reading(runset: RunSet) -> str:
    if runset.of_paper and runset.spec.quantity != "test_error":
        return "Ours: mean over trials of |d|, the absolute difference from the baseline, as the paper's text reads"
    return "|d|: mean over trials of the absolute difference from the baseline"


def _equal(shown: bool | None) -> str:
    return {True: "yes", False: "not shown", None: MISSING}[shown]


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
