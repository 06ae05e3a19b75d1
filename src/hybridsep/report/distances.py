"""The distances of a table's rows as functions: read from the kept predictions, tested, told in words, tabulated."""

from dataclasses import dataclass

import numpy as np

from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import MISSING, Column, Table, number, p_value, percent
from hybridsep.runs.seeds import stream
from hybridsep.statistics import distance
from hybridsep.statistics.difference import Interval, holm_in_families
from hybridsep.statistics.distance import Distance, Predictions

SAME_FUNCTION, ANOTHER_FUNCTION, UNCLEAR = "same function", "another function", "undecided"
# Numbers held at once, of 8 bytes: beyond it fewer trials of each row are compared.
MOST_NUMBERS = 50_000_000


@dataclass(frozen=True)
class RowDistance:
    """The distance of one row from the baseline, with p corrected over the table's rows, and what it shows."""

    distance: Distance
    p_holm: float | None
    shows: str


@dataclass(frozen=True, eq=False)
class Distances:
    """Distances of the rows from the baseline by name, and of all `names` from each other in `matrix`.

    `unit` is the mean squared distance of two seeds of the baseline. `cut`: the first so many trials of each row, where
    the predictions of all do not fit in memory.
    """

    rows: dict[str, RowDistance]
    names: list[str]
    matrix: np.ndarray
    unit: float
    cut: int | None
    baseline: str
    runs: dict[str, Predictions]
    products: np.ndarray

    def farther(self, far: str, near: str, alpha: float) -> Interval:
        """Return how much farther than `near` the row `far` is from the baseline."""
        near_runs, far_runs, baseline = (self.runs[row] for row in (near, far, self.baseline))
        return distance.nearer(self.products, near_runs, far_runs, baseline, unit=self.unit, alpha=alpha)


def measure(runset: RunSet, choices: AnalysisOptions) -> Distances | None:
    """Return the distances of a table's rows.

    None where the baseline has fewer than two trials with predictions, or trials have images of their own.
    """
    names = [row for row in runset.rows if runset.runs[row]]
    baseline = runset.baseline
    if runset.own_images or baseline not in names or len(runset.runs[baseline]) < 2 or len(names) < 2:
        return None
    size = runset.images * runset.outputs * len(names)
    kept = MOST_NUMBERS // size if size else 0
    longest = max(len(runset.runs[row]) for row in names)
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
    variants = [row for row in names if row != baseline]
    found = [
        distance.distance(
            products,
            runs[row],
            runs[baseline],
            unit=unit,
            alpha=choices.alpha,
            resamples=choices.resamples,
            rng=stream(choices.seed, "distance", runset.table, row),
        )
        for row in variants
    ]
    corrected = holm_in_families([one.test.p for one in found], [runset.own(row) for row in variants])
    return Distances(
        rows={
            row: RowDistance(one, p, shows(one, p, choices))
            for row, one, p in zip(variants, found, corrected, strict=True)
        },
        names=names,
        matrix=distance.matrix(products, [runs[row] for row in names], unit),
        unit=unit,
        cut=kept if kept < longest else None,
        baseline=baseline,
        runs=runs,
        products=products,
    )


def shows(found: Distance, p_holm: float | None, choices: AnalysisOptions) -> str:
    """Return what a distance shows: another function (p Holm below alpha), the same one, or neither.

    The same: not shown to be another, and the upper end of its interval is below `report.distance`.
    """
    if p_holm is not None and p_holm < choices.alpha:
        return ANOTHER_FUNCTION
    return SAME_FUNCTION if found.high is not None and found.high < choices.distance else UNCLEAR


@dataclass(frozen=True)
class _Line:
    row: str
    label: str
    distance: float | None
    error: float | None
    low: float | None
    high: float | None
    trials: int
    p: float | None
    least: float | None
    is_least: bool
    splits: int
    p_holm: float | None
    shows: str


def tables(runset: RunSet, found: Distances, choices: AnalysisOptions) -> list[Table]:
    """Return the rows' distances from the baseline, and the matrix of all."""
    lines = []
    for row, one in found.rows.items():
        own = one.distance
        lines.append(
            _Line(
                row,
                _label(runset, row),
                own.value,
                own.error,
                own.low,
                own.high,
                own.trials,
                own.test.p,
                own.test.least,
                own.test.is_least,
                own.test.permutations,
                one.p_holm,
                one.shows,
            )
        )
    cut = f" Of the first {found.cut} trials of each row, for memory's sake." if found.cut else ""
    distances = Table(
        name=f"{runset.table}-distance",
        title=f"{runset.short_title}: distance of functions from the baseline",
        columns=[
            Column("Row", "label", wide=True),
            Column("n", "trials"),
            Column("Distance", ("distance", "error"), plus_minus),
            Column(percent(choices.alpha), ("low", "high"), bounds),
            Column("p", ("p", "is_least"), p_or_least),
            Column("p Holm", "p_holm", p_value),
            Column("Shows", "shows"),
        ],
        lines=[vars(line) for line in lines],
        fields="row label trials distance error low high p least splits p_holm shows".split(),
        notes=[
            "How far the mean predictions of two networks are apart, squared, over all test images: 0 is the same"
            " function, 1 as far as two seeds of the baseline. Unbiased, from inner products of runs of unlike trials"
            " only, so it may be below 0. ±: jackknife standard error over trials. p: are other divisions of the runs"
            " as far apart? Over all divisions of runs without a common trial; (least): the least p that so many runs"
            f" can give. Shows: another function, when p Holm is below {choices.alpha:g}; the same, when it is not"
            f" and the interval ends below {choices.distance:g}.{cut}"
        ],
        terminal=True,
    )
    return [distances, _matrix(runset, found)] if len(found.names) > 2 else [distances]


def _matrix(runset: RunSet, found: Distances) -> Table:
    lines = [
        {"row": row, "label": _label(runset, row)}
        | {name: None if np.isnan(value) else float(value) for name, value in zip(found.names, values, strict=True)}
        for row, values in zip(found.names, found.matrix, strict=True)
    ]
    return Table(
        name=f"{runset.table}-distances",
        title=f"{runset.short_title}: distance of functions between all rows",
        columns=[
            Column("Row", "label", wide=True),
            *(Column(_label(runset, name), name, lambda value: number(value, 3)) for name in found.names),
        ],
        lines=lines,
        fields=["row", *found.names],
        notes=["In units of two seeds of the baseline, over the trials that the two rows both have."],
    )


def _label(runset: RunSet, row: str) -> str:
    return runset.row(row).label or row


def plus_minus(value: float | None, error: float | None) -> str:
    """Write a distance with its standard error, three decimals."""
    return number(value, 3) if error is None else f"{number(value, 3)} ± {number(error, 3)}"


def bounds(low: float | None, high: float | None) -> str:
    """Write an interval with three decimals."""
    return MISSING if low is None or high is None else f"[{number(low, 3)}, {number(high, 3)}]"


def p_or_least(p: float | None, is_least: bool) -> str:
    """Write a p, and whether no smaller one was possible."""
    return f"{p_value(p)} (least)" if is_least else p_value(p)
