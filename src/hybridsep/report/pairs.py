"""Each row of a table against a network of another form with as many parameters, by error and as a function."""

from collections.abc import Sequence
from dataclasses import dataclass

from hybridsep.config.trials import ranges
from hybridsep.report import contrasts, distances
from hybridsep.report.contrasts import Named
from hybridsep.report.distances import bounds, plus_minus
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import Column, Table, estimate, p_value, percent
from hybridsep.runs.seeds import stream
from hybridsep.statistics import distance
from hybridsep.statistics.difference import holm
from hybridsep.statistics.distance import Distance

# Declared with the analysis: a row with fewer trials says nothing yet (docs/declared.md).
FEWEST_TRIALS = 6


@dataclass(frozen=True)
class Pair:
    """Two rows: the first less the second by test error, and how far they are apart as functions."""

    rows: tuple[str, str]
    error: Named
    function: Distance


def measure(runsets: Sequence[RunSet], table: RunSet, choices: AnalysisOptions) -> list[Pair]:
    """Return the pairs of the `table`'s specification whose rows are there, from all tables of its study."""
    there = [
        (first, second)
        for first, second in table.spec.pairs
        if all(any(one.runs.get(row) for one in runsets) for row in (first, second))
    ]
    rows = list(dict.fromkeys(row for pair in there for row in pair if row != table.baseline))
    together = contrasts.joined(runsets, [*rows, table.baseline]) if there else None
    known = distances.measure(together, choices) if together else None
    if together is None or known is None:
        return []
    return [
        Pair(
            rows=(first, second),
            error=contrasts.of_rows(together, (first, second), choices),
            function=distance.distance(
                known.products,
                known.runs[first],
                known.runs[second],
                unit=known.unit,
                alpha=choices.alpha,
                resamples=choices.resamples,
                rng=stream(choices.seed, "pair", first, second),
            ),
        )
        for first, second in there
        if set(together.runs[first]) & set(together.runs[second])
    ]


def table(runset: RunSet, pairs: Sequence[Pair], choices: AnalysisOptions) -> Table:
    """Return the pairs as a table; p of each kind are corrected over its lines (Holm)."""
    errors, functions = [one.error.found for one in pairs], [one.function for one in pairs]
    lines = [
        {
            "pair": one.error.name,
            "rows": " ".join(one.rows),
            "n": error.trials,
            "mean": error.interval.mean,
            "low": error.interval.low,
            "high": error.interval.high,
            "p": error.p,
            "p_holm": p,
            "equivalence_p": error.equivalence.p,
            "equivalence_p_holm": same,
            "distance": function.value,
            "distance_error": function.error,
            "distance_low": function.low,
            "distance_high": function.high,
            "distance_p": function.test.p,
            "distance_p_holm": apart,
            "preliminary": error.trials < FEWEST_TRIALS,
        }
        for one, error, function, p, same, apart in zip(
            pairs,
            errors,
            functions,
            holm([error.p for error in errors]),
            holm([error.equivalence.p for error in errors]),
            holm([function.test.p for function in functions]),
            strict=True,
        )
    ]
    return Table(
        name=f"{runset.table}-pairs",
        title=f"{runset.short_title}: each row less the network with as many parameters",
        columns=[
            Column("Pair", "pair", wide=True),
            Column("n", "n"),
            Column(f"Points [{percent(choices.alpha)}]", ("mean", "low", "high"), estimate),
            Column("p Holm", "p_holm", p_value),
            Column("TOST p Holm", "equivalence_p_holm", p_value),
            Column("Distance", ("distance", "distance_error"), plus_minus),
            Column(percent(choices.alpha), ("distance_low", "distance_high"), bounds, place="files"),
            Column("p Holm", "distance_p_holm", p_value),
        ],
        lines=lines,
        fields=(
            "rows n mean low high p p_holm equivalence_p equivalence_p_holm distance distance_error distance_low"
            " distance_high distance_p distance_p_holm preliminary"
        ).split(),
        notes=[
            "Test error on all test images, in points, trial by trial; below 0: the first is better. p: Student's"
            f" paired t. TOST: within ±{choices.margin:g} points. Distance of functions in units of two seeds of the"
            " study's baseline, with its jackknife standard error and exact permutation p. Each kind of p is"
            " corrected over the lines.",
            *_declared(runset),
            *_preliminary(pairs),
        ],
        terminal=True,
    )


def _declared(runset: RunSet) -> list[str]:
    """Say when the analysis was declared, and which trials of the table's own rows were begun after that."""
    declared = runset.spec.declared
    if not declared:
        return []
    notes = []
    for row in runset.variants:
        early = [trial for trial, run in runset.runs[row].items() if run.record.started < declared]
        if early:
            notes.append(f"{runset.row(row).label}: trials {ranges(early)} were begun before, and do not confirm.")
    begun = " ".join(notes) or "Every trial of the table's own rows was begun after that, so they confirm."
    return [f"Declared {declared} (docs/declared.md). {begun}"]


def _preliminary(pairs: Sequence[Pair]) -> list[str]:
    few = [one.error.name for one in pairs if one.error.found.trials < FEWEST_TRIALS]
    return [f"Fewer than {FEWEST_TRIALS} trials, so too early to tell: {'; '.join(few)}."] if few else []
