"""Each row of a table against a network of another form with as many parameters, by error and as a function."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybridsep.report import contrasts, distances
from hybridsep.report.contrasts import Named
from hybridsep.report.declared import begun_before
from hybridsep.report.distances import Distances, bounds
from hybridsep.report.runset import RunSet, Subset
from hybridsep.report.settings import AnalysisOptions, PairOutcomes
from hybridsep.report.table import (
    Column,
    Table,
    bounds_column,
    build,
    csv_only,
    p_value,
    percent,
    signed,
)
from hybridsep.runs.seeds import stream
from hybridsep.statistics.difference import holm
from hybridsep.statistics.distance import Distance

# Declared with the analysis (docs/declared.md): with fewer a pair does not count, without all it is preliminary.
FEWEST_TRIALS = 6
NOTHING_YET, PRELIMINARY, COMPLETE = "says nothing yet", "preliminary", "complete"


@dataclass(frozen=True)
class Pair:
    """Two rows: the first less the second by test error, how far they are apart as functions, and p over all pairs.

    `of_first` and `of_second` hold each of them against the baseline; `declared` is the number of trials it takes;
    `outcome` is what the tests give in the words of the declaration.
    """

    error: Named
    function: Distance
    of_first: "Gain"
    of_second: "Gain"
    p_holm: float | None
    equivalence_p_holm: float | None
    distance_p_holm: float | None
    declared: int
    outcome: str

    @property
    def trials(self) -> int:
        """Trials that both rows have."""
        return self.error.contrast.trials

    @property
    def state(self) -> str:
        """What may be said by this many trials, as declared."""
        if self.trials >= self.declared:
            return COMPLETE
        return PRELIMINARY if self.trials >= FEWEST_TRIALS else NOTHING_YET

    @property
    def says(self) -> str:
        """What may be said of the pair now."""
        if self.state == NOTHING_YET or not self.outcome:
            return self.state
        return self.outcome if self.state == COMPLETE else f"{self.outcome} ({self.state})"


@dataclass(frozen=True)
class Gain:
    """How much better than the baseline a row is, in points over the pair's trials, and how far from it as a function.

    None where the baseline lacks one of the trials.
    """

    points: float | None
    function: Distance


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
    gains = [[_gain(together, functions, row, pair) for row in pair] for pair in names]
    p = holm([one.contrast.interval.p for one in errors])
    p_same = holm([one.contrast.equivalence.p for one in errors])
    p_apart = holm([one.test.p for one in apart])
    return [
        Pair(
            error,
            function,
            of_first,
            of_second,
            *corrected,
            table.spec.trials,
            _outcome(error, corrected[0], corrected[2], table.spec.outcomes, options.alpha),
        )
        for error, function, (of_first, of_second), corrected in zip(
            errors, apart, gains, zip(p, p_same, p_apart, strict=True), strict=True
        )
    ]


def _outcome(error: Named, p: float | None, p_apart: float | None, outcomes: PairOutcomes | None, alpha: float) -> str:
    """Return what is said of a pair: its form counts where the error differs, else by the distance of functions."""
    if outcomes is None:
        return ""
    if p is not None and p < alpha:
        return f"{'better' if (error.contrast.interval.mean or 0.0) < 0 else 'worse'}: {outcomes.form}"
    return outcomes.function if p_apart is not None and p_apart < alpha else outcomes.parameters


def _gain(together: RunSet, functions: Distances, row: str, pair: Sequence[str]) -> Gain:
    every = Subset("all", together.images)
    errors, baseline = together.errors(row, every), together.errors(together.baseline, every)
    trials = set(together.runs[pair[0]]) & set(together.runs[pair[1]])
    points = float(np.mean([baseline[trial] - errors[trial] for trial in trials])) if trials <= set(baseline) else None
    return Gain(points, functions.rows[row].distance)


def table(runset: RunSet, pairs: Sequence[Pair], options: AnalysisOptions) -> Table:
    """Return the pairs as a table; p of each kind are corrected over its lines (Holm)."""
    columns: list[Column[Pair]] = [
        csv_only("p", lambda pair: pair.error.contrast.interval.p),
        Column("p Holm", lambda pair: pair.p_holm, p_value, csv="p_holm"),
        csv_only("equivalence_p", lambda pair: pair.error.contrast.equivalence.p),
        Column(
            "TOST p Holm",
            lambda pair: pair.equivalence_p_holm,
            p_value,
            csv="equivalence_p_holm",
            place="files",
            note=f"TOST: within ±{options.margin:g} points.",
        ),
        distances.value_column("Distance", lambda pair: pair.function),
        bounds_column(percent(options.alpha), lambda pair: pair.function, bounds, prefix="distance_", place="files"),
        csv_only("distance_p", lambda pair: pair.function.test.p),
        Column("Distance p Holm", lambda pair: pair.distance_p_holm, p_value, csv="distance_p_holm"),
        *(column.on(_of_first, prefix="first_") for column in _gain_columns("first")),
        *(column.on(_of_second, prefix="second_") for column in _gain_columns("second")),
        csv_only("state", lambda pair: pair.state),
        Column("So", lambda pair: pair.says, csv="says", wide=True),
    ]
    return build(
        f"{runset.table}-pairs",
        f"{runset.short_title}: each row less the network with as many parameters",
        [*(column.on(_error) for column in contrasts.columns_of("Pair", options)), *columns],
        pairs,
        notes=[
            "Test error on all test images, in points, trial by trial; below 0: the first is better. p: Student's"
            " paired t. Distance of functions in units of two seeds of the study's baseline, with its jackknife"
            " standard error and exact permutation p. Each kind of p is corrected over the lines.",
            *_declared(runset),
            *_states(pairs),
        ],
        terminal=True,
    )


def _gain_columns(which: str) -> list[Column[Gain]]:
    columns: list[Column[Gain]] = [
        Column(
            f"Gain, {which}",
            lambda gain: gain.points,
            signed,
            csv="gain",
            place="files",
            note=f"Gain: by how much the {which} is better than the study's baseline.",
        ),
        distances.value_column(
            f"From baseline, {which}",
            lambda gain: gain.function,
            place="files",
            note=f"From baseline: how far the {which} is from it as a function.",
        ),
    ]
    return columns


def _error(pair: Pair) -> Named:
    return pair.error


def _of_first(pair: Pair) -> Gain:
    return pair.of_first


def _of_second(pair: Pair) -> Gain:
    return pair.of_second


def _states(pairs: Sequence[Pair]) -> list[str]:
    """Name the pairs that do not have all trials declared, by what they may say."""
    named: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.state != COMPLETE:
            named.setdefault(f"{pair.state}: {pair.trials} of {pair.declared} trials", []).append(pair.error.name)
    return [f"{state[0].upper()}{state[1:]} ({'; '.join(names)})." for state, names in named.items()]


def _declared(runset: RunSet) -> list[str]:
    """Say when the analysis was declared, and which trials of the table's own rows were begun after that."""
    declared = runset.spec.declared
    if not declared:
        return []
    early = begun_before(runset, runset.variants, declared)
    notes = [f"{trials} were begun before, and do not confirm." for trials in early]
    begun = " ".join(notes) or "Every trial of the table's own rows was begun after that."
    return [f"Declared {declared} (docs/declared.md). {begun}"]
