"""The paper's own numbers under the null: how probable they are for two networks that differ in chance only."""

from dataclasses import dataclass

import numpy as np

from hybridsep.report.runset import RunSet
from hybridsep.report.settings import STAND_IN, Paper
from hybridsep.report.table import Column, Table, build, number, tenth
from hybridsep.statistics import null
from hybridsep.statistics.null import Discordance, NullProbability

_OF_SAMENESS = ("same_function", "equivalent")


@dataclass(frozen=True)
class EqualRow:
    """A row that the paper calls the baseline's equal, and its number there."""

    label: str
    points: float


@dataclass(frozen=True)
class Case:
    """How probable the paper's numbers are at an `error` in percent, on the same images or each on its own.

    `share` is D, of one; `chances` has a probability for each row, `both` that of two rows at once.
    """

    error: float
    same_images: bool
    share: float
    chances: list[NullProbability]
    both: float | None


def equal_rows(runset: RunSet, paper: Paper) -> list[EqualRow]:
    """Return the rows of the table that a claim says are the same as the baseline, by the paper's number."""
    names = {row for claim in paper.claims.values() if claim.rule in _OF_SAMENESS for row in claim.rows}
    rows = [(runset.label(row), runset.row(row).paper) for row in runset.rows if row in names]
    return sorted((EqualRow(label, points) for label, points in rows if points), key=lambda row: row.points)


@dataclass(frozen=True)
class ByChance:
    """How probable the paper's numbers for `rows` are, in several cases: first at the error that was `measured`."""

    rows: list[EqualRow]
    cases: list[Case]
    measured: Discordance
    images: int
    trials: int


def measure(runset: RunSet, paper: Paper) -> ByChance | None:
    """Return the probabilities; None where the paper calls no row the same, or the baseline has too few trials.

    None for images drawn by code too: the share D that is measured on them says nothing about other images.
    """
    if paper.data.kind(runset.first.record) == STAND_IN:
        return None
    rows = equal_rows(runset, paper)
    wrong = [] if runset.own_images else [run.wrong for run in runset.runs.get(runset.baseline, {}).values()]
    measured = null.discordance(np.array(wrong) if wrong else np.empty((1, 0)))
    if not rows or measured is None or not measured.share:
        return None
    images, trials = paper.chance.images, runset.spec.paper_trials
    limits = [null.images_at_most(row.points, images=images, trials=trials) for row in rows]
    cases = []
    for error in [100 * measured.error, *paper.chance.errors]:
        for same_images in (True, False):
            share = 2 * error / 100 * (1 - error / 100) * (measured.relative if same_images else 1.0)
            chances = [null.probability(share, images=images, trials=trials, limit=limit) for limit in limits]
            two = None
            if len(limits) == 2:
                two = null.both(share, images=images, trials=trials, limits=(limits[0], limits[1]))
            cases.append(Case(error, same_images, share, chances, two))
    return ByChance(rows, cases, measured, images, trials)


def sentence(found: ByChance) -> str:
    """Return what the table says of the errors that were tried, on the same images, for both readings of the text."""
    tried = [case for case in found.cases[2:] if case.same_images]
    parts = []
    for place, row in enumerate(found.rows):
        absolute = _range([case.chances[place].mean_absolute for case in tried])
        mean = _range([case.chances[place].absolute_mean for case in tried])
        parts.append(f"{row.points:g} or less with a probability of {absolute} as a mean of |d|, of {mean} as |mean d|")
    errors = [case.error for case in tried]
    return (
        f"The paper's numbers by chance alone: two equal networks of {min(errors):g} to {max(errors):g} % error give"
        f" {'; '.join(parts)}. So they are improbable as worded, and ordinary if the mean was taken first."
    )


def _range(values: list[float]) -> str:
    return f"{chance_text(min(values))} to {chance_text(max(values))}"


def table(runset: RunSet, found: ByChance) -> Table:
    """Return the probabilities as a table."""
    rows, measured, images, trials = found.rows, found.measured, found.images, found.trials
    columns: list[Column[Case]] = [
        Column("Error %", lambda case: case.error, tenth, csv="error"),
        Column("Images", lambda case: "the same" if case.same_images else "its own", csv="shared"),
        Column("D %", lambda case: 100 * case.share, number, csv="share"),
    ]
    absolute, signed = (
        [_chance(name, row.points, place, absolute=name == "|d|") for place, row in enumerate(rows)]
        for name in ("|d|", "|mean|")
    )
    both: list[Column[Case]] = [Column("Both |d|", lambda case: case.both, chance_text, csv="both")]
    both = both if len(rows) == 2 else []
    in_csv = [column for pair in zip(absolute, signed, strict=True) for column in pair]
    named = " and ".join(f"{row.points:g} ({row.label})" for row in rows)
    numbers, are, small = " and ".join(f"{row.points:g}" for row in rows), "is", "a number as small as this is"
    if len(rows) > 1:
        are, small = "are", "numbers as small as these are"
    source = f"study {runset.study} ({runset.first.record.dataset.title})"
    at_once = " Both: the two rows at once, against one baseline." if both else ""
    return build(
        f"{runset.table}-null",
        f"{runset.short_title}: how probable the paper's {numbers} {are} by chance alone",
        [*columns, *absolute, *signed, *both],
        found.cases,
        csv=([*columns, *in_csv, *both], found.cases),
        notes=[
            f"For two networks that differ in nothing but chance: the probability that {trials} trials of {images:,}"
            f" images give a number as small as the paper's, {named}, as printed with two decimals. |d|: the mean"
            " of absolute differences; |mean|: the absolute value of the mean. Exact if images err independently; a"
            " seed that makes many wrong at once makes such small numbers less probable still. D: share of images"
            f" on which exactly one of two seeds is right; in {source}"
            f" {number(100 * measured.share)} % at {number(100 * measured.error, 1)} % error,"
            f" {number(measured.relative)} of what independent errors give, and taken to be that much at the other"
            f" errors too. Each on images of its own, none in common: D is 2 p (1 - p).{at_once}",
            f"In words: as the text says it, a mean of absolute differences, {small} improbable even for equal"
            f" networks. As the absolute value of the mean difference {small} ordinary. Then the paper's table is"
            " coherent, but such a small number hardly shows that two networks are equal.",
        ],
    )


def _chance(name: str, points: float, place: int, *, absolute: bool) -> Column[Case]:
    def value(case: Case) -> float:
        chance = case.chances[place]
        return chance.mean_absolute if absolute else chance.absolute_mean

    return Column(f"{name} {points:g}", value, chance_text, csv=f"{'absolute' if absolute else 'signed'}_{place}")


def chance_text(value: float | None) -> str:
    """Write a probability with two digits."""
    if value is None:
        return "-"
    if value < 1e-9:
        return "<1e-9"
    return f"{value:.2g}" if value >= 0.0001 else f"{value:.0e}".replace("e-0", "e-")
