"""The tables of one set of runs: which values stand in which column. The formats are those of `table`."""

from functools import partial

import pandas as pd

from hybridsep.report import distances, sensitivity, table, trial_tables
from hybridsep.report.comparison import Comparison, RowResult
from hybridsep.report.differences import COSTS, LABEL, ROW, blank, columns_of, differences
from hybridsep.report.runset import RunSet
from hybridsep.report.sensitivity import Sensitivity
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import (
    Column,
    Table,
    bounds,
    bounds_column,
    build,
    csv_only,
    estimate_column,
    number,
    p_or_least,
    p_value,
    percent,
    signed,
    thousandths,
)
from hybridsep.statistics.many_to_one import ManyToOne


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


def frame(runset: RunSet, comparison: Comparison, options: AnalysisOptions) -> pd.DataFrame:
    """Every value of a row that is in a CSV file of the tables of differences, under its name there, a line a row."""
    beyond: Column[RowResult] = csv_only("beyond_noise", lambda row: row.beyond_noise)
    of_rows = [*columns_of(runset, comparison, options)[1], *_interval_columns(runset, options), beyond]
    of_many = _many_columns(runset, options)
    none = {name: None for column in of_many for name in column.names}
    return pd.DataFrame(
        [
            (none if row.many is None else table.named(of_many, (row, row.many))) | table.named(of_rows, row)
            for row in comparison.rows
        ]
    )


def many(runset: RunSet, comparison: Comparison, options: AnalysisOptions) -> list[Table]:
    """All rows against the baseline at once, on all test images, where a row has trials enough."""
    lines = [(row, row.many) for row in comparison.rows if row.many]
    of_all = f", on all {runset.images:,} test images" if runset.by_image else ""
    below, above = f"below -{options.margin:g}", f"above {options.margin:g}"
    if runset.spec.higher_is_better:
        below, above = above, below
    one = build(
        f"{runset.table}-many",
        f"{runset.short_title}: all rows against the baseline at once{of_all}",
        _many_columns(runset, options),
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


def _many_columns(runset: RunSet, options: AnalysisOptions) -> list[Column[tuple[RowResult, ManyToOne]]]:
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
    return columns


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
            instead=blank,
        ),
        Column("Detectable", lambda row: row.difference.detectable, number, csv="detectable", instead=blank),
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
            f" this many trials find with {100 * options.power:g} % probability."
        ],
        terminal=True,
    )


def intervals(runset: RunSet, comparison: Comparison, options: AnalysisOptions) -> Table:
    """The signed difference in every way it was estimated, and what pairing bought."""
    return build(
        f"{runset.table}-intervals",
        f"{runset.short_title}: the signed difference, {percent(options.alpha)} intervals and tests",
        _interval_columns(runset, options),
        [row for row in comparison.rows if not row.is_baseline],
        notes=[
            "BCa bootstrap: over trials, at a level that is raised because there are few; n/a where even their whole"
            " range would cover less than it should.",
            "Correlation: of the row's errors with the baseline's over trials (it includes sharing the evaluation"
            " images). Gain by pairing: how many times more trials an unpaired design would need for the same standard"
            " error; below 1, pairing cost something.",
        ],
    )


def _interval_columns(runset: RunSet, options: AnalysisOptions) -> list[Column[RowResult]]:
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
    return columns
