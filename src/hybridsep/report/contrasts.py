"""Contrasts of rows, on all test images: a claim in words needs its own test."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hybridsep.errors import ConfigError
from hybridsep.report import mixture
from hybridsep.report.runset import RunSet, Subset
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import (
    Column,
    Table,
    build,
    csv_only,
    estimate,
    estimate_column,
    p_or_least,
    p_value,
    percent,
)
from hybridsep.runs.seeds import stream
from hybridsep.statistics.contrast import Contrast, contrast
from hybridsep.statistics.difference import holm

TWO, FOUR = (1.0, -1.0), (1.0, -1.0, -1.0, 1.0)


@dataclass(frozen=True)
class Named:
    """A contrast with the words for it."""

    name: str
    rows: tuple[str, ...]
    contrast: Contrast


def joined(runsets: Sequence[RunSet], rows: Sequence[str]) -> RunSet | None:
    """Return one set of runs that has all `rows`, whichever tables of the study they stand in; None when one lacks.

    The last row is its baseline. Raises UserError when the rows differ in more than the tables let them differ in.
    """
    holders: dict[str, RunSet] = {}
    for row in rows:
        holder = next((one for one in runsets if one.runs.get(row)), None)
        if holder is None:
            return None
        holders[row] = holder
    alone = next((one for one in holders.values() if all(one.runs.get(row) for row in rows)), None)
    if alone is None:
        vary = list(dict.fromkeys(key for one in holders.values() for key in one.spec.vary))
        specs = {row: one.row(row) for row, one in holders.items()}
        alone = holders[rows[0]]
        alone = replace(alone, spec=replace(alone.spec, vary=vary, rows=specs))
    runs = {row: one.runs[row] for row, one in holders.items()}
    trials = {row: one.trials[row] for row, one in holders.items()}
    joined = replace(alone, baseline=rows[-1], rows=[rows[-1], *rows[:-1]], runs=runs, trials=trials)
    mixture.refuse(joined.finished, joined.spec)
    return joined


def of_rows(runset: RunSet, rows: Sequence[str], options: AnalysisOptions) -> Named:
    """Return rows[0] less rows[1]; of four rows that, less (rows[2] less rows[3]), trial by trial on all test images.

    Raises ConfigError when the rows have no finished trial in common.
    """
    every = Subset("all", runset.images)
    errors = [runset.errors(row, every) for row in rows]
    common = sorted(set(errors[0]).intersection(*errors[1:]))
    if not common:
        raise ConfigError(f"{' and '.join(rows)} of study {runset.study} have no finished trial in common")
    labels = [(runset.label(row)).removesuffix(" (baseline)") for row in rows]
    pairs = [f"{first} less {second}" for first, second in zip(labels[::2], labels[1::2], strict=True)]
    return Named(
        name=" less ".join(f"({pair})" for pair in pairs) if len(pairs) > 1 else pairs[0],
        rows=tuple(rows),
        contrast=contrast(
            np.array([[one[trial] for trial in common] for one in errors]),
            TWO if len(rows) == 2 else FOUR,
            alpha=options.alpha,
            margin=options.margin,
            resamples=options.resamples,
            rng=stream(options.seed, "contrast", *rows),
        ),
    )


def of_counterparts(first: RunSet, second: RunSet, options: AnalysisOptions) -> list[Named]:
    """Return each row of a table that repeats another one, less the row that it stands for."""
    pairs = [(row, spec.counterpart) for row, spec in second.spec.rows.items() if spec.counterpart not in ("", row)]
    finished = [pair for pair in pairs if second.runs.get(pair[0]) and first.runs.get(pair[1])]
    both = [(pair, joined([first, second], pair)) for pair in finished]
    return [of_rows(one, pair, options) for pair, one in both if one and one.paired(pair[0])]


def columns_of(heading: str, options: AnalysisOptions) -> list[Column[Named]]:
    """Return the columns that every table of contrasts begins with: name, trials, points with their interval."""
    columns: list[Column[Named]] = [
        Column(heading, lambda one: one.name, wide=True),
        csv_only("rows", lambda one: " ".join(one.rows)),
        Column("n", lambda one: one.contrast.trials, csv="n"),
        estimate_column(f"Points [{percent(options.alpha)}]", lambda one: one.contrast.interval),
    ]
    return columns


def sentence(contrasts: Sequence[Named]) -> str:
    """Return the contrasts in words, with their intervals."""
    changes = (f"{one.name} {estimate(one.contrast.interval)}" for one in contrasts)
    return f"What the change itself does, in points of test error on all test images: {'; '.join(changes)}."


def table(name: str, title: str, contrasts: Sequence[Named], options: AnalysisOptions) -> Table:
    """Return contrasts as a table, their p corrected over it (Holm)."""
    p_values = holm([one.contrast.interval.p for one in contrasts])
    same = holm([one.contrast.equivalence.p for one in contrasts])
    lines = list(zip(contrasts, p_values, same, strict=True))
    columns: list[Column[tuple[Named, float | None, float | None]]] = [
        Column("p (t)", lambda line: line[0].contrast.interval.p, p_value, csv="p"),
        Column("p Holm", lambda line: line[1], p_value, csv="p_holm"),
        Column(
            "Sign-flip p",
            lambda line: line[0].contrast.flips,
            p_or_least,
            csv={
                "flips_p": lambda line: line[0].contrast.flips.p,
                "least": lambda line: line[0].contrast.flips.least,
            },
        ),
        csv_only("equivalence_p", lambda line: line[0].contrast.equivalence.p),
        Column("TOST p Holm", lambda line: line[2], p_value, csv="equivalence_p_holm"),
    ]
    return build(
        name,
        title,
        [*(column.on(_contrast) for column in columns_of("Contrast", options)), *columns],
        lines,
        notes=[
            "Test error on all test images, in points, trial by trial over the trials that all rows have; above 0: the"
            f" first is worse. p: Student's paired t. (least): the least p that so many trials can give. TOST: within"
            f" ±{options.margin:g} points. Each kind of p Holm is corrected over the lines."
        ],
    )


def _contrast(line: tuple[Named, float | None, float | None]) -> Named:
    return line[0]
