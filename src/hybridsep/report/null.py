"""The paper's own numbers under the null: how probable they are for two networks that differ in chance only."""

from dataclasses import dataclass

import numpy as np

from hybridsep.report.runset import RunSet
from hybridsep.report.settings import Paper
from hybridsep.report.table import Column, Table, number
from hybridsep.statistics import null

_OF_SAMENESS = ("same_function", "equivalent")


@dataclass(frozen=True)
class Claimed:
    """A row that the paper calls the baseline's equal, and its number there."""

    label: str
    points: float


def claimed(runset: RunSet, paper: Paper) -> list[Claimed]:
    """Return the rows of the table that a claim says are the same as the baseline, by the paper's number."""
    rows = {row for claim in paper.claims.values() if claim.rule in _OF_SAMENESS for row in claim.rows}
    known = ((runset.row(row).label or row, runset.row(row).paper) for row in runset.rows if row in rows)
    return sorted((Claimed(label, points) for label, points in known if points), key=lambda one: one.points)


def table(runset: RunSet, paper: Paper) -> Table | None:
    """Return the table; None where the paper calls no row of it the same, or the baseline has too few trials."""
    rows = claimed(runset, paper)
    wrong = [] if runset.own_images else [run.wrong for run in runset.runs.get(runset.baseline, {}).values()]
    found = null.discordance(np.array(wrong) if wrong else np.empty((1, 0)))
    if not rows or found is None or not found.share:
        return None
    images, trials = paper.chance.images, runset.spec.paper_trials
    limits = [null.images_at_most(row.points, images=images, trials=trials) for row in rows]
    lines = []
    for error in [100 * found.error, *paper.chance.errors]:
        apart = 2 * error / 100 * (1 - error / 100)
        for shared in (True, False):
            share = apart * (found.relative if shared else 1.0)
            line = {"error": error, "shared": "the same" if shared else "its own", "share": 100 * share}
            for place, limit in enumerate(limits):
                chance = null.probability(share, images=images, trials=trials, limit=limit)
                line[f"absolute_{place}"] = chance.mean_absolute
                line[f"signed_{place}"] = chance.absolute_mean
            if len(limits) == 2:
                line["both"] = null.both(share, images=images, trials=trials, limits=(limits[0], limits[1]))
            lines.append(line)
    columns = [
        Column("Error %", "error", lambda value: number(value, 1)),
        Column("Images", "shared"),
        Column("D %", "share", number),
    ]
    for name, key in (("|d|", "absolute"), ("|mean|", "signed")):
        columns += [Column(f"{name} {row.points:g}", f"{key}_{i}", chance_text) for i, row in enumerate(rows)]
    columns += [Column("Both |d|", "both", chance_text)] if len(limits) == 2 else []
    named = " and ".join(f"{row.points:g} ({row.label})" for row in rows)
    return Table(
        name=f"{runset.table}-null",
        title=f"{runset.short_title}: how probable the paper's {' and '.join(f'{row.points:g}' for row in rows)} are by"
        " chance alone",
        columns=columns,
        lines=lines,
        fields=list(lines[0]),
        notes=[
            f"For two networks that differ in nothing but chance: the probability that {trials} trials of {images:,}"
            f" images give a number as small as the paper's, {named}, as printed with two decimals. |d|: the mean"
            " of absolute differences; |mean|: the absolute value of the mean. Exact. D: share of images"
            " on which exactly one of two seeds is right; measured here"
            f" {number(100 * found.share)} % at {number(100 * found.error, 1)} % error, {number(found.relative)} of"
            " what independent errors give, and taken to be that much at the other errors too. Each on images of its"
            " own: D is 2 p (1 - p). Both: the two rows at once, against one baseline.",
            "In words: as the text says it, a mean of absolute differences, numbers as small as these are improbable"
            " even for equal networks. As the absolute value of the mean difference they are ordinary. Then the paper's"
            " table is coherent, but such a small number hardly shows that two networks are equal.",
        ],
    )


def chance_text(value: float | None) -> str:
    """Write a probability with two digits."""
    if value is None:
        return "-"
    if value < 1e-9:
        return "<1e-9"
    return f"{value:.2g}" if value >= 0.0001 else f"{value:.0e}".replace("e-0", "e-")
