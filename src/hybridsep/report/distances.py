"""The distances of a table's rows as functions: read from the kept predictions, tested, and tabulated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hybridsep.report.declared import begun_before
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import (
    MISSING,
    Bounds,
    Column,
    Line,
    Place,
    Table,
    bounds_column,
    build,
    csv_only,
    number,
    p_or_least,
    p_value,
    percent,
    thousandths,
)
from hybridsep.runs.seeds import stream
from hybridsep.statistics import distance
from hybridsep.statistics.difference import Interval, holm
from hybridsep.statistics.distance import Distance, Predictions

EXPLORATORY = "Exploratory: {chosen} chosen after these trials (declared {declared}, docs/declared.md)"
TESTS_AND_LIMIT = "the tests of the distance and its limit were"
SAME_FUNCTION, ANOTHER_FUNCTION, UNCLEAR = "same function", "another function", "undecided"
# Numbers held at once, of 8 bytes: beyond it fewer trials of each row are compared.
MOST_NUMBERS = 50_000_000


@dataclass(frozen=True)
class RowDistance:
    """The distance of one row from the baseline, with p corrected over the table's rows, and what it shows."""

    row: str
    label: str
    distance: Distance
    p_holm: float | None
    shows: str


@dataclass(frozen=True, eq=False)
class Distances:
    """Distances of the rows from the baseline by name, and of all `names` from each other in `matrix`.

    `unit` is the mean squared distance of two seeds of the baseline, `limit` that below which an interval must end to
    show the same function. `cut`: the first so many trials of each row, where the predictions of all do not fit in
    memory.
    """

    rows: dict[str, RowDistance]
    names: list[str]
    matrix: np.ndarray
    unit: float
    limit: float
    cut: int | None
    baseline: str
    runs: dict[str, Predictions]
    products: np.ndarray

    def between(self, first: str, second: str, options: AnalysisOptions, rng: np.random.Generator) -> Distance:
        """Return the distance of two rows."""
        return distance.distance(
            self.products,
            self.runs[first],
            self.runs[second],
            unit=self.unit,
            alpha=options.alpha,
            resamples=options.resamples,
            rng=rng,
        )

    def farther(self, far: str, near: str, alpha: float) -> Interval:
        """Return how much farther than `near` the row `far` is from the baseline."""
        near_runs, far_runs, baseline = (self.runs[row] for row in (near, far, self.baseline))
        return distance.nearer(self.products, near_runs, far_runs, baseline, unit=self.unit, alpha=alpha)


def measure(runset: RunSet, options: AnalysisOptions) -> Distances | None:
    """Return the distances of a table's rows.

    None where the baseline has fewer than two trials with predictions, or trials have images of their own.
    """
    names = [row for row in runset.rows if runset.runs[row]]
    baseline = runset.baseline
    if runset.own_images or baseline not in names or len(runset.runs[baseline]) < 2 or len(names) < 2:
        return None
    size = runset.images * runset.outputs * len(names)
    kept = MOST_NUMBERS // size if size else 0
    if kept < 2:
        return None
    chosen = [(row, run) for row in names for run in list(runset.runs[row].values())[:kept]]
    products = distance.inner_products([runset.probabilities(run) for _, run in chosen])
    runs = {}
    for name in names:
        places = [place for place, (row, _) in enumerate(chosen) if row == name]
        runs[name] = Predictions(np.array([chosen[place][1].trial for place in places]), np.array(places))
    unit = distance.squared_distance_of_seeds(products, runs[baseline])
    if unit is None:
        return None
    measured = Distances(
        rows={},
        names=names,
        matrix=distance.matrix(products, [runs[row] for row in names], unit),
        unit=unit,
        limit=options.distance,
        cut=kept if kept < max(len(runset.runs[row]) for row in names) else None,
        baseline=baseline,
        runs=runs,
        products=products,
    )
    variants = [row for row in names if row != baseline]
    from_baseline = [
        measured.between(row, baseline, options, stream(options.seed, "distance", runset.table, row))
        for row in variants
    ]
    corrected = holm([one.test.p for one in from_baseline], [runset.is_extra(row) for row in variants])
    rows = {
        row: RowDistance(row, runset.label(row), one, p, shows(one, p, options))
        for row, one, p in zip(variants, from_baseline, corrected, strict=True)
    }
    return replace(measured, rows=rows)


def shows(distance: Distance, p_holm: float | None, options: AnalysisOptions) -> str:
    """Return what a distance shows: another function (p Holm below alpha), the same one, or neither.

    The same: not shown to be another, and the upper end of its interval is below `report.distance`.
    """
    if p_holm is not None and p_holm < options.alpha:
        return ANOTHER_FUNCTION
    return SAME_FUNCTION if distance.high is not None and distance.high < options.distance else UNCLEAR


def columns_of(options: AnalysisOptions) -> list[Column[RowDistance]]:
    """Return the columns of the distances from the baseline."""
    columns: list[Column[RowDistance]] = [
        csv_only("row", lambda one: one.row),
        Column("Row", lambda one: one.label, csv="label", wide=True),
        Column("n", lambda one: one.distance.trials, csv="trials"),
        value_column("Distance", lambda one: one.distance, error="error"),
        bounds_column(percent(options.alpha), lambda one: one.distance, bounds),
        Column(
            "p",
            lambda one: one.distance.test,
            p_or_least,
            csv={"p": lambda one: one.distance.test.p, "least": lambda one: one.distance.test.least},
        ),
        csv_only("splits", lambda one: one.distance.test.permutations),
        Column("p Holm", lambda one: one.p_holm, p_value, csv="p_holm"),
        Column("Shows", lambda one: one.shows, csv="shows"),
    ]
    return columns


def table(runset: RunSet, distances: Distances, options: AnalysisOptions, declared: str = "") -> Table:
    """Return the rows' distances from the baseline.

    `declared`: when the tests and the limit were chosen; a note names the trials that were begun before. A table that
    declared the tests itself owes them to that; its rows that are not another function go by the limit all the same.
    """
    by_limit = [row for row, one in distances.rows.items() if one.shows != ANOTHER_FUNCTION]
    early = begun_before(runset, by_limit if runset.spec.declared else distances.rows, declared)
    chosen = "the limit of the distance was" if runset.spec.declared else TESTS_AND_LIMIT
    cut = f" Of the first {distances.cut} trials of each row, for memory's sake." if distances.cut else ""
    return build(
        f"{runset.table}-distance",
        f"{runset.short_title}: distance of functions from the baseline",
        columns_of(options),
        list(distances.rows.values()),
        notes=[
            "How far the mean predictions of two networks are apart, squared, over all test images: 0 is the same"
            " function, 1 as far as two seeds of the baseline. Unbiased, from inner products of runs of unlike trials"
            " only, so it may be below 0. ±: jackknife standard error over trials. p: are other divisions of the runs"
            " as far apart? Over all divisions of runs without a common trial; (least): the least p that so many runs"
            f" can give. Shows: another function, when p Holm is below {options.alpha:g}; the same, when it is not"
            f" and the interval ends below {options.distance:g}. The test goes first: rows that it tells apart are two"
            f" functions, however near.{cut}",
            *([f"{EXPLORATORY.format(chosen=chosen, declared=declared)}: {'; '.join(early)}."] if early else []),
        ],
        terminal=True,
    )


def matrix(runset: RunSet, distances: Distances | None) -> list[Table]:
    """Return the distances of all rows from each other, as a table of its own where there are more than two."""
    if distances is None or len(distances.names) < 3:
        return []

    def distance_from(place: int, name: str) -> Column[tuple[str, np.ndarray]]:
        def value(line: tuple[str, np.ndarray]) -> float | None:
            return None if np.isnan(line[1][place]) else float(line[1][place])

        return Column(runset.label(name), value, thousandths, csv=name)

    row: list[Column[tuple[str, np.ndarray]]] = [
        csv_only("row", lambda line: line[0]),
        Column("Row", lambda line: runset.label(line[0]), wide=True),
    ]
    table = build(
        f"{runset.table}-distances",
        f"{runset.short_title}: distance of functions between all rows",
        [*row, *(distance_from(place, name) for place, name in enumerate(distances.names))],
        list(zip(distances.names, distances.matrix, strict=True)),
        notes=["In units of two seeds of the baseline, over the trials that the two rows both have."],
    )
    return [table]


def value_column(
    heading: str,
    value: Callable[[Line], Distance],
    *,
    error: str = "distance_error",
    place: Place = "both",
    note: str = "",
) -> Column[Line]:
    """A column of a distance with its standard error, which are `distance` and `error` in the CSV file."""
    csv: Mapping[str, Callable[[Line], object]] = {
        "distance": lambda line: value(line).value,
        error: lambda line: value(line).error,
    }
    return Column(heading, value, plus_minus, csv=csv, place=place, note=note)


def plus_minus(distance: Distance) -> str:
    """Write a distance with its standard error, three decimals."""
    value = number(distance.value, 3)
    return value if distance.error is None else f"{value} ± {number(distance.error, 3)}"


def bounds(interval: Bounds) -> str:
    """Write an interval with three decimals."""
    return MISSING if interval.low is None else f"[{number(interval.low, 3)}, {number(interval.high, 3)}]"
