"""Each row of a table against a network of another form with as many parameters, by error and as a function."""

from collections.abc import Sequence
from dataclasses import dataclass

from hybridsep.report import contrasts, distances
from hybridsep.report.contrasts import Named
from hybridsep.report.declared import begun_before
from hybridsep.report.distances import bounds, plus_minus
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import (
    Column,
    Table,
    bounds_column,
    build,
    csv_only,
    p_value,
    percent,
)
from hybridsep.runs.seeds import stream
from hybridsep.statistics.difference import holm
from hybridsep.statistics.distance import Distance

# Declared with the analysis: a row with fewer trials says nothing yet (docs/declared.md).
FEWEST_TRIALS = 6


@dataclass(frozen=True)
class Pair:
    """Two rows: the first less the second by test error, how far they are apart as functions, and p over all pairs."""

    error: Named
    function: Distance
    p_holm: float | None
    equivalence_p_holm: float | None
    distance_p_holm: float | None

    @property
    def trials(self) -> int:
        """Trials that both rows have."""
        return self.error.contrast.trials

    @property
    def preliminary(self) -> bool:
        """Whether there are too few trials to tell."""
        return self.trials < FEWEST_TRIALS


def measure(runsets: Sequence[RunSet], table: RunSet, options: AnalysisOptions) -> list[Pair]:
    """Return the pairs of the `table`'s specification whose rows are there, from all tables of its study."""
    names = [
        (first, second)
        for first, second in table.spec.pairs
        if all(any(one.runs.get(row) for one in runsets) for row in (first, second))
    ]
    rows = list(dict.fromkeys(row for pair in names for row in pair if row != table.baseline))
    together = contrasts.joined(runsets, [*rows, table.baseline]) if names else None
    functions = distances.measure(together, options) if together else None
    if together is None or functions is None:
        return []
    names = [pair for pair in names if set(together.runs[pair[0]]) & set(together.runs[pair[1]])]
    errors = [contrasts.of_rows(together, pair, options) for pair in names]
    apart = [functions.between(*pair, options, stream(options.seed, "pair", *pair)) for pair in names]
    p = holm([one.contrast.interval.p for one in errors])
    p_same = holm([one.contrast.equivalence.p for one in errors])
    return list(map(Pair, errors, apart, p, p_same, holm([one.test.p for one in apart])))


def table(runset: RunSet, pairs: Sequence[Pair], options: AnalysisOptions) -> Table:
    """Return the pairs as a table; p of each kind are corrected over its lines (Holm)."""
    columns: list[Column[Pair]] = [
        csv_only("p", lambda pair: pair.error.contrast.interval.p),
        Column("p Holm", lambda pair: pair.p_holm, p_value, csv="p_holm"),
        csv_only("equivalence_p", lambda pair: pair.error.contrast.equivalence.p),
        Column("TOST p Holm", lambda pair: pair.equivalence_p_holm, p_value, csv="equivalence_p_holm"),
        Column(
            "Distance",
            lambda pair: pair.function,
            plus_minus,
            csv={"distance": lambda pair: pair.function.value, "distance_error": lambda pair: pair.function.error},
        ),
        bounds_column(percent(options.alpha), lambda pair: pair.function, bounds, prefix="distance_", place="files"),
        csv_only("distance_p", lambda pair: pair.function.test.p),
        Column("Distance p Holm", lambda pair: pair.distance_p_holm, p_value, csv="distance_p_holm"),
        csv_only("preliminary", lambda pair: pair.preliminary),
    ]
    few = [pair.error.name for pair in pairs if pair.preliminary]
    return build(
        f"{runset.table}-pairs",
        f"{runset.short_title}: each row less the network with as many parameters",
        [*(column.on(_error) for column in contrasts.columns_of("Pair", options)), *columns],
        pairs,
        notes=[
            "Test error on all test images, in points, trial by trial; below 0: the first is better. p: Student's"
            f" paired t. TOST: within ±{options.margin:g} points. Distance of functions in units of two seeds of the"
            " study's baseline, with its jackknife standard error and exact permutation p. Each kind of p is"
            " corrected over the lines.",
            *_declared(runset),
            *([f"Fewer than {FEWEST_TRIALS} trials, so too early to tell: {'; '.join(few)}."] if few else []),
        ],
        terminal=True,
    )


def _error(pair: Pair) -> Named:
    return pair.error


def _declared(runset: RunSet) -> list[str]:
    """Say when the analysis was declared, and which trials of the table's own rows were begun after that."""
    declared = runset.spec.declared
    if not declared:
        return []
    early = begun_before(runset, runset.variants, declared)
    notes = [f"{trials} were begun before, and do not confirm." for trials in early]
    begun = " ".join(notes) or "Every trial of the table's own rows was begun after that, so they confirm."
    return [f"Declared {declared} (docs/declared.md). {begun}"]
