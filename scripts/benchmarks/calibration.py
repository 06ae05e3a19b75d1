"""`make bench-calibration`: how often the report's statistics are right, on simulated tables whose truth is known."""

import argparse
from collections.abc import Callable, Mapping, Sequence

from hybridsep.report import render, settings
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import MISSING, Column, Table, build, percent, tenth
from hybridsep.runs.seeds import stream
from scripts.benchmarks import arguments
from scripts.benchmarks.simulated_tables import (
    SPREAD,
    ErrorRates,
    FunctionRates,
    Rates,
    Share,
    Simulated,
    functions,
    measure,
    measure_functions,
    scenarios,
)

# Headings, each with the rate of a table that its column gives the share of.
Shares = Mapping[str, Callable[[Rates], float | None]]


def main(words: Sequence[str] | None = None) -> None:
    """Simulate and print the tables as they stand in docs/calibration.md. Raises ConfigError."""
    parser = argparse.ArgumentParser(
        description="How often the report's intervals, tests and verdicts are right, on simulated tables.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    count = arguments.positive
    parser.add_argument("--simulations", type=count, default=240, help="tables a line; a quarter for functions")
    parser.add_argument("--trials", type=count, nargs="+", default=[5, 10], help="trials of every row")
    parser.add_argument("--rows", type=count, default=5, help="rows beside the baseline, as in Figure 4")
    parser.add_argument("--resamples", type=count, default=999, help="in each table, of bootstrap and noise floor")
    parser.add_argument("overrides", nargs="*", help="of the report: report.pairing=unpaired report.margin=0.5 ...")
    typed = parser.parse_args(words)
    if min(typed.trials) < 2:
        parser.error("--trials: at least 2, because one trial has no spread")
    if typed.resamples < 100:
        parser.error("--resamples: at least 100")
    resamples = [f"report.{key}={typed.resamples}" for key in ("resamples", "groups")]
    options = settings.load([*typed.overrides, *resamples]).report
    for table in (
        *error_tables(options, typed.trials, typed.rows, typed.simulations),
        function_table(options, typed.trials, max(2, typed.rows), max(2, typed.simulations // 4)),
    ):
        print(render.markdown(table))


def error_tables(options: AnalysisOptions, trials: Sequence[int], rows: int, simulations: int) -> list[Table]:
    """Return what all scenarios give: a table of the intervals, and one of the tests, the verdict and the star."""
    lines = [
        measure(
            scenario,
            count,
            options,
            simulations=simulations,
            rng=stream(options.seed, "calibration", scenario.name, count),
        )
        for scenario in scenarios(options.margin, rows)
        for count in trials
    ]
    alpha = f"{options.alpha:g}"
    origin = (
        f"{simulations} simulated tables a line, seed {options.seed}: a baseline and {rows} rows of"
        f" n trials, standard deviation {SPREAD:g} points. Percent ± Monte Carlo standard error; a 0.0 may be"
        f" as much as {min(100, 300 / simulations):.2g} %."
    )
    intervals: Shares[ErrorRates] = {
        "Paired t" if options.pairing == "paired" else "Welch (unpaired)": lambda one: one.covers,
        "BCa bootstrap": lambda one: one.bootstrap,
        "Welch": lambda one: one.welch,
    }
    tests: Shares[ErrorRates] = {
        f"p < {alpha}": lambda one: one.rejects,
        "Holm, any": lambda one: one.family,
        "Dunnett": lambda one: one.many,
        "Same": lambda one: one.same,
        "Undecided": lambda one: one.undecided,
        "Wrong": lambda one: one.wrong,
        "Star": lambda one: one.starred,
    }
    together: Shares[ErrorRates] = {
        "Claim": lambda one: one.together,
        "Dunnett": lambda one: one.dunnett,
        "Contrasts": lambda one: one.contrasts,
        "Sure": lambda one: one.sure,
        "Mistaken": lambda one: one.mistaken,
    }
    return [
        _table(
            "calibration-intervals",
            f"How often {percent(options.alpha)} intervals hold the true difference",
            lines,
            intervals,
            origin,
        ),
        _table(
            "calibration-tests",
            f"How often tests at level {alpha}, the verdict and the star say so",
            lines,
            tests,
            f"p < {alpha}: rows, permutation test, uncorrected (t where so few trials have no p"
            " below it). Holm, any: tables in which the corrected"
            " test finds a difference in a row that has none; Dunnett: the same of Dunnett's test."
            " Same, undecided: rows with that verdict (same: two"
            f" one-sided tests, margin ±{options.margin:g}). Wrong: rows called different that do not differ, or"
            " the same that differ by the margin or more. Star: rows beyond the noise floor, of those that do not"
            f" differ; meant to be {100 * options.alpha / 2:g} %.",
        ),
        _table(
            "calibration-together",
            "How often what is said of all rows of a table together is right",
            lines,
            together,
            f"Claim, Dunnett: tables all of whose intervals hold the truth, of paired t at {alpha} by the number of"
            " rows, as a claim of several rows has them, and Dunnett's. Contrasts: tables in which t, with Holm,"
            " finds a difference in a row that has none, as contrasts and the pairs of the widened baseline are tested."
            f" Sure: rows whose P(better), P(same) or P(worse) is 0.95 or more, margin ±{options.margin:g}; mistaken:"
            " rows for which that is wrong.",
        ),
    ]


def function_table(options: AnalysisOptions, trials: Sequence[int], rows: int, simulations: int) -> Table:
    """Return what the truths of functions give; from three trials."""
    lines = [
        measure_functions(
            truth,
            count,
            options,
            simulations=simulations,
            rng=stream(options.seed, "calibration", truth.name, count),
        )
        for truth in functions(options.distance, rows)
        for count in trials
        if count > 2
    ]
    shares: Shares[FunctionRates] = {
        f"{percent(options.alpha)} interval": lambda one: one.covers,
        "Nearer": lambda one: one.nearer,
        f"p < {options.alpha:g}": lambda one: one.rejects,
        "Holm, any": lambda one: one.family,
        "Same": lambda one: one.same,
        "Another": lambda one: one.another,
    }
    return _table(
        "calibration-functions",
        "How often the distance of functions says so",
        lines,
        shares,
        f"{simulations} simulated tables a line. Interval: jackknife intervals that hold the true distance. Nearer:"
        " intervals of the difference of two rows' distances that hold it. p, Holm: as above, by the permutation"
        " test over runs without a common trial. Same, another: rows called the same function (interval below"
        f" {options.distance:g}), or another one (p Holm below {options.alpha:g}).",
    )


def _table(name: str, title: str, lines: Sequence[Simulated[Rates]], shares: Shares[Rates], note: str) -> Table:
    columns: list[Column[Simulated[Rates]]] = [
        Column("Truth", lambda line: line.truth, wide=True),
        Column("n", lambda line: line.trials),
    ]
    for heading, rate in shares.items():
        columns.append(_column(heading, rate))
    return build(name, title, columns, lines, notes=[note])


def _column(heading: str, rate: Callable[[Rates], float | None]) -> Column[Simulated[Rates]]:
    return Column[Simulated[Rates]](heading, lambda line: line.share(rate), shown)


def shown(value: Share | None) -> str:
    """Write a share with its error; None is n/a."""
    return MISSING if value is None else f"{tenth(value.percent)} ± {tenth(value.error)}"


if __name__ == "__main__":
    arguments.finish(main)
