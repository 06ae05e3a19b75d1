"""Would other choices have changed the result? The table under each of them, and with the images drawn again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from hybridsep.data.subset import redrawn_subset
from hybridsep.report.comparison import noise_floors, samples_of
from hybridsep.report.runset import RunSet, Subset
from hybridsep.report.settings import PAIRINGS, AnalysisOptions
from hybridsep.report.table import (
    Column,
    Table,
    bounds,
    bounds_column,
    build,
    csv_only,
    estimate_column,
    number,
    percent,
    signed,
    span,
)
from hybridsep.statistics import difference
from hybridsep.statistics.difference import Absolute, Interval

# Draws of 6,000 of 10,000 images take half a millisecond each; a study of thousands of trials gets fewer redraws, and
# says so.
MOST_DRAWS = 10_000
AT_ONCE = 128  # rows per matrix product, for memory's sake


@dataclass(frozen=True)
class Protocol:
    """A way to compare: which test images count, how many, and whether trials are pairs."""

    pairing: str
    subset: str
    images: int


@dataclass(frozen=True)
class RowUnder:
    """A row's result under a protocol, and the noise floor's mean there."""

    row: str
    protocol: Protocol
    absolute: Absolute | None
    interval: Interval
    equivalent: bool | None
    floor: float | None


@dataclass(frozen=True)
class Redraws:
    """So many redraws of so many images: `changed` percent of them rank the rows otherwise than the report's images.

    `reason` says why there are none.
    """

    draws: int = 0
    images: int = 0
    changed: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Rank:
    """A row's mean |d| with its range over the redraws, its rank, and in how many percent of them it has that rank."""

    row: str
    mean_absolute: float
    low: float
    high: float
    rank: int
    same_rank: float
    best_rank: int
    worst_rank: int


@dataclass(frozen=True)
class Sensitivity:
    """Every row under every protocol, the rows' ranks, and what redrawn images do to them."""

    rows: list[RowUnder]
    ranks: list[Rank]
    redraws: Redraws


def analyse(runset: RunSet, options: AnalysisOptions) -> Sensitivity:
    """Return the main result under each choice of images and pairing, and the ranking's stability under redraws."""
    redraws, ranks = redraw(runset, options)
    return Sensitivity(under_protocols(runset, options), ranks, redraws)


def _subsets(runset: RunSet, options: AnalysisOptions) -> list[Subset]:
    """The three ways of choosing images, with as many images as the report's own choice, or as the runs recorded."""
    recorded = runset.first.record.settings.evaluation.images
    images = min(options.images or recorded, runset.images)
    if runset.own_images:
        return [Subset("all", images)]  # what a trial was not shown was decided when it was trained
    return [Subset("paper", images), Subset("fixed", images), Subset("all", images)]


def under_protocols(runset: RunSet, options: AnalysisOptions) -> list[RowUnder]:
    """Mean |d|, |mean d|, the signed interval and the equivalence verdict of every row under every protocol."""
    results = []
    for subset in _subsets(runset, options):
        errors = {row: runset.errors(row, subset) for row in runset.rows}
        floors = noise_floors(runset, replace(options, groups=100), subset)
        for pairing in PAIRINGS:
            images = runset.images if subset.mode == "all" else subset.images
            for row in runset.variants:
                samples, differences = samples_of(errors[row], errors.get(runset.baseline, {}), pairing)
                result = RowUnder(
                    row=row,
                    protocol=Protocol(pairing, subset.mode, images),
                    absolute=difference.absolute(differences),
                    interval=difference.mean_interval(samples, options.alpha),
                    equivalent=difference.equivalence(samples, options.margin, options.alpha).equivalent,
                    floor=floors["same" if pairing == "paired" else "own"].mean,
                )
                results.append(result)
    return results


@lru_cache(maxsize=64)
def _redrawn(study_seed: int, images: int, available: int, trial: int, draws: int) -> np.ndarray:
    """Redrawn subsets of a trial as bits, (draws, ceil(available / 8)) uint8."""
    masks = np.zeros((draws, available), dtype=bool)
    for draw in range(draws):
        chosen = redrawn_subset(images=images, available=available, study_seed=study_seed, draw=draw, trial=trial)
        masks[draw, chosen] = True
    return np.packbits(masks, axis=1)


def redraw(runset: RunSet, options: AnalysisOptions) -> tuple[Redraws, list[Rank]]:
    """Draw every trial's images again and rank the rows by mean |d| each time."""
    rows = [row for row in runset.variants if runset.paired(row)]
    if len(rows) < 2:
        return Redraws(reason="fewer than two rows share trials with the baseline"), []
    images = _subsets(runset, options)[0].images
    if images == runset.images:
        return Redraws(reason="all test images are used, so there is nothing to draw"), []
    trials = sorted({trial for row in rows for trial in runset.paired(row)})
    draws = max(10, min(options.redraws, MOST_DRAWS // len(trials)))
    seed = runset.first.record.settings.seed
    totals, counts = np.zeros((draws, len(rows))), np.zeros(len(rows))
    for trial in trials:
        packed = _redrawn(seed, images, runset.images, trial, draws)
        masks = np.unpackbits(packed, axis=1, count=runset.images).astype(np.float32)
        baseline = runset.runs[runset.baseline][trial].wrong.astype(np.float32)
        present = [index for index, row in enumerate(rows) if trial in runset.runs[row]]
        for start in range(0, len(present), AT_ONCE):
            some = present[start : start + AT_ONCE]
            # Sums of +-1 over at most 2**24 images are exact in float32.
            gains = np.array([runset.runs[rows[index]][trial].wrong - baseline for index in some])
            totals[:, some] += np.abs(masks @ gains.T)
        counts[present] += 1
    # Means of whole images tie but for rounding; rounded, rows that tie keep their order.
    means = 100 * totals / (images * counts)
    observed = np.array([_own_mean(runset, row) for row in rows])
    ranking, rankings = observed.round(9).argsort(kind="stable"), means.round(9).argsort(axis=1, kind="stable")
    places = rankings.argsort(axis=1, kind="stable") + 1
    changed = 100 * float((rankings != ranking).any(axis=1).mean())
    low, high = np.quantile(means, (options.alpha / 2, 1 - options.alpha / 2), axis=0)
    ranks = []
    for index, row in enumerate(rows):
        rank = int(np.flatnonzero(ranking == index)[0]) + 1
        ranks.append(
            Rank(
                row=row,
                mean_absolute=float(observed[index]),
                low=float(low[index]),
                high=float(high[index]),
                rank=rank,
                same_rank=100 * float((places[:, index] == rank).mean()),
                best_rank=int(places[:, index].min()),
                worst_rank=int(places[:, index].max()),
            )
        )
    return Redraws(draws, images, changed), ranks


def _own_mean(runset: RunSet, row: str) -> float:
    errors, baseline = runset.errors(row), runset.errors(runset.baseline)
    return float(np.mean([abs(errors[trial] - baseline[trial]) for trial in runset.paired(row)]))


_Line = tuple[str, Mapping[Protocol, RowUnder]]


def tables(runset: RunSet, sensitivity: Sensitivity, options: AnalysisOptions) -> list[Table]:
    """|d| and the signed difference under other choices of images and pairing, and the ranking under redraws."""
    by_row: dict[str, dict[Protocol, RowUnder]] = {}
    for row in sensitivity.rows:
        by_row.setdefault(row.row, {})[row.protocol] = row
    protocols = {row.protocol: row.floor for row in sensitivity.rows}
    lines: list[_Line] = [(runset.label(row), under) for row, under in by_row.items()]
    floor: _Line = ("Noise floor, mean |d|", {})

    def absolute(protocol: Protocol) -> Column[_Line]:
        return Column[_Line](
            _heading(protocol),
            lambda line: line[1][protocol].absolute,
            lambda one: f"{number(one.mean_absolute)} ({number(one.absolute_mean)})" if one else "n/a (n/a)",
            instead=lambda line: None if line[1] else number(protocols[protocol]),
        )

    def change(protocol: Protocol) -> Column[_Line]:
        return Column[_Line](
            _heading(protocol),
            lambda line: line[1][protocol],
            lambda one: f"{signed(one.interval.mean)} {bounds(one.interval)}{' =' if one.equivalent else ''}",
        )

    label: Column[_Line] = Column("Row", lambda line: line[0], wide=True)
    ordered = sorted(protocols, key=lambda protocol: protocol.pairing != "paired")
    names: list[Column[RowUnder]] = [
        csv_only("row", lambda one: one.row),
        csv_only("subset", lambda one: one.protocol.subset),
        csv_only("images", lambda one: one.protocol.images),
        csv_only("pairing", lambda one: one.protocol.pairing),
    ]
    readings: list[Column[RowUnder]] = [
        csv_only("mean_absolute", lambda one: one.absolute and one.absolute.mean_absolute),
        csv_only("absolute_mean", lambda one: one.absolute and one.absolute.absolute_mean),
        csv_only("floor", lambda one: one.floor),
    ]
    changes: list[Column[RowUnder]] = [
        estimate_column("", lambda one: one.interval),
        csv_only("equivalent", lambda one: one.equivalent),
    ]
    return [
        build(
            f"{runset.table}-sensitivity",
            f"{runset.short_title}: mean |d| (and |mean d|) under other choices, points",
            [label, *map(absolute, ordered)],
            [*lines, floor],
            csv=([*names, *readings], sensitivity.rows),
            notes=[
                "Each column is a protocol: which test images count, and whether trial t is held against trial t"
                " or every trial against all unlike ones. In brackets the absolute value of the"
                " mean, in place of the mean of absolute values."
            ],
        ),
        build(
            f"{runset.table}-sensitivity-signed",
            f"{runset.short_title}: signed difference and equivalence (±{options.margin:g} points) under other choices",
            [label, *map(change, ordered)],
            lines,
            csv=([*names, *changes], sensitivity.rows),
            notes=["= : the two one-sided tests find the row equivalent to the baseline."],
        ),
        _ranking(runset, sensitivity, options),
    ]


def _heading(protocol: Protocol) -> str:
    names = {"paper": "{:,} per trial", "fixed": "{:,} fixed", "all": "all {:,}"}
    return f"{names[protocol.subset].format(protocol.images)}, {protocol.pairing}"


def _ranking(runset: RunSet, sensitivity: Sensitivity, options: AnalysisOptions) -> Table:
    """How steady the ranking of the rows by mean |d| is when every trial's test images are drawn again."""
    redraws = sensitivity.redraws
    note = (
        f"No redraws: {redraws.reason}."
        if redraws.reason
        else f"In {number(redraws.changed, 1)} % of {redraws.draws:,} redraws of {redraws.images:,} images"
        " per trial the rows are ranked otherwise than on the report's own images. Rank 1 is nearest to the baseline."
    )
    columns: list[Column[Rank]] = [
        csv_only("row", lambda rank: rank.row),
        Column("Row", lambda rank: runset.label(rank.row), wide=True),
        Column("Mean |d|", lambda rank: rank.mean_absolute, number, csv="own"),
        bounds_column(f"Redraws, {percent(options.alpha)}", lambda rank: rank, span),
        Column("Rank", lambda rank: rank.rank, csv="rank"),
        Column("Same rank in", lambda rank: rank.same_rank, lambda value: f"{number(value, 1)} %", csv="same_rank"),
        Column(
            "Ranks seen",
            lambda rank: f"{rank.best_rank} to {rank.worst_rank}",
            csv={"best_rank": lambda rank: rank.best_rank, "worst_rank": lambda rank: rank.worst_rank},
        ),
    ]
    return build(
        f"{runset.table}-ranking",
        f"{runset.short_title}: does the ranking depend on which images were drawn?",
        columns,
        sensitivity.ranks,
        notes=[note],
    )
