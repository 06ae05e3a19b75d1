"""Would other choices have changed the result? The table under each of them, and with the images drawn again."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from hybridsep.data.subset import redrawn_subset
from hybridsep.report.comparison import interval_of, noise_floors, samples_of
from hybridsep.report.runset import RunSet, Subset
from hybridsep.report.settings import PAIRINGS, AnalysisOptions
from hybridsep.statistics import difference

# Draws of 6,000 of 10,000 images take half a millisecond each; a study of thousands of trials gets fewer redraws, and
# says so.
MOST_DRAWS = 10_000
AT_ONCE = 128  # rows per matrix product, for memory's sake


@dataclass(frozen=True)
class Sensitivity:
    """`choices` has one entry per row and protocol choice, `ranks` one per row, `redraws` what redrawn images did."""

    choices: list[dict[str, Any]]
    ranks: list[dict[str, Any]]
    redraws: dict[str, Any]


def analyse(runset: RunSet, choices: AnalysisOptions) -> Sensitivity:
    """Return the main result under each choice of images and pairing, and the ranking's stability under redraws."""
    redraws, ranks = redraw(runset, choices)
    return Sensitivity(under_choices(runset, choices), ranks, redraws)


def _subsets(runset: RunSet, choices: AnalysisOptions) -> list[Subset]:
    """The three ways of choosing images, with as many images as the report's own choice, or as the runs recorded."""
    recorded = runset.first.record.settings.evaluation.images
    images = min(choices.images or recorded, runset.images)
    if runset.own_images:
        return [Subset("all", images)]  # what a trial was not shown was decided when it was trained
    return [Subset("paper", images), Subset("fixed", images), Subset("all", images)]


def under_choices(runset: RunSet, choices: AnalysisOptions) -> list[dict[str, Any]]:
    """Mean |d|, |mean d|, the signed interval and the equivalence verdict of every row under every choice."""
    entries = []
    for subset in _subsets(runset, choices):
        errors = {row: runset.errors(row, subset) for row in runset.rows}
        floors = noise_floors(runset, replace(choices, groups=100), subset)
        for pairing in PAIRINGS:
            floor = floors["same" if pairing == "paired" else "own"].mean
            for row in runset.variants:
                samples, differences = samples_of(errors[row], errors.get(runset.baseline, {}), pairing)
                interval = interval_of(samples, choices.alpha)
                absolute = difference.absolute(differences)
                entries.append(
                    {
                        "row": row,
                        "label": runset.row(row).label or row,
                        "subset": subset.mode,
                        "images": runset.images if subset.mode == "all" else subset.images,
                        "pairing": pairing,
                        "mean_absolute": absolute and absolute.mean_absolute,
                        "absolute_mean": absolute and absolute.absolute_mean,
                        "mean": interval.mean,
                        "low": interval.low,
                        "high": interval.high,
                        "equivalent": difference.equivalence(samples, choices.margin, choices.alpha).equivalent,
                        "floor": floor,
                    }
                )
    return entries


@lru_cache(maxsize=64)
def _redrawn(study_seed: int, images: int, available: int, trial: int, draws: int) -> np.ndarray:
    """Redrawn subsets of a trial as bits, (draws, ceil(available / 8)) uint8."""
    masks = np.zeros((draws, available), dtype=bool)
    for draw in range(draws):
        chosen = redrawn_subset(images=images, available=available, study_seed=study_seed, draw=draw, trial=trial)
        masks[draw, chosen] = True
    return np.packbits(masks, axis=1)


def redraw(runset: RunSet, choices: AnalysisOptions) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Draw every trial's images again and rank the rows by mean |d| each time.

    Returns `{"draws", "images", "changed", "reason"}` (`changed`: share in percent of the draws that rank the rows
    otherwise than the report's own images do) and per row the spread of mean |d| over the draws and the share of each
    rank.
    """
    rows = [row for row in runset.variants if runset.paired(row)]
    empty = {"draws": 0, "images": 0, "changed": None}
    if len(rows) < 2:
        return empty | {"reason": "fewer than two rows share trials with the baseline"}, []
    images = _subsets(runset, choices)[0].images
    if images == runset.images:
        return empty | {"reason": "all test images are used, so there is nothing to draw"}, []
    trials = sorted({trial for row in rows for trial in runset.paired(row)})
    draws = max(10, min(choices.redraws, MOST_DRAWS // len(trials)))
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
    own = np.array([_own_mean(runset, row) for row in rows])
    ranking, rankings = own.round(9).argsort(kind="stable"), means.round(9).argsort(axis=1, kind="stable")
    places = rankings.argsort(axis=1, kind="stable") + 1
    changed = 100 * float((rankings != ranking).any(axis=1).mean())
    low, high = np.quantile(means, (choices.alpha / 2, 1 - choices.alpha / 2), axis=0)
    lines = [
        {
            "row": row,
            "label": runset.row(row).label or row,
            "own": float(own[index]),
            "rank": int(np.flatnonzero(ranking == index)[0]) + 1,
            "low": float(low[index]),
            "high": float(high[index]),
            "same_rank": 100 * float((places[:, index] == np.flatnonzero(ranking == index)[0] + 1).mean()),
            "best_rank": int(places[:, index].min()),
            "worst_rank": int(places[:, index].max()),
        }
        for index, row in enumerate(rows)
    ]
    return {"draws": draws, "images": images, "changed": changed, "reason": None}, lines


def _own_mean(runset: RunSet, row: str) -> float:
    errors, baseline = runset.errors(row), runset.errors(runset.baseline)
    return float(np.mean([abs(errors[trial] - baseline[trial]) for trial in runset.paired(row)]))
