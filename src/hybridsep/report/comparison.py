"""Every statistic of one table: the errors of a set of runs go in, one flat dictionary per row comes out."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from hybridsep.report import distances
from hybridsep.report.distances import Distances
from hybridsep.report.runset import RunSet, Subset
from hybridsep.report.settings import AnalysisOptions
from hybridsep.runs.seeds import stream
from hybridsep.statistics import agreement, difference, noise, power
from hybridsep.statistics.machines import MachineEffect
from hybridsep.statistics.many_to_one import ManyToOne, many_to_one
from hybridsep.statistics.noise import MIN_TRIALS


@dataclass(frozen=True)
class Comparison:
    """What the numbers of one table say. `rows` are in the table's order.

    `floor` is the noise floor that they are held against; `floors` has it for both ways of choosing images (`same`,
    `own`); `trials` has one entry per row and trial.
    """

    rows: list[dict[str, Any]]
    floor: noise.NoiseFloor
    floors: dict[str, noise.NoiseFloor]
    predicted: power.IndependentErrors | None
    seed_disagreement: agreement.Disagreement
    distances: Distances | None
    machines: list[MachineEffect]
    trials: list[dict[str, Any]]

    @property
    def too_few(self) -> bool:
        """Whether the baseline has too few trials for a range of its noise."""
        return self.floor.too_few

    def of(self, row: str) -> dict[str, Any]:
        """Return the entry of one row. Raises StopIteration for a row that is not in the table."""
        return next(entry for entry in self.rows if entry["row"] == row)


def compare(runset: RunSet, choices: AnalysisOptions) -> Comparison:
    """Return every statistic of the runset under `choices`."""
    errors = {row: runset.errors(row) for row in runset.rows}
    trials = [entry for row in runset.rows for entry in _trials(runset, row, errors)]
    rows = [_row(runset, row, errors, choices) for row in runset.rows]
    for entry in rows:
        pairs = [trial for trial in trials if trial["row"] == entry["row"] and trial["mcnemar_p"] is not None]
        entry["mcnemar_n"] = len(pairs)
        entry["mcnemar_significant"] = sum(trial["mcnemar_p"] < choices.alpha for trial in pairs)
        entry["disagreement"] = float(np.mean([trial["disagreement"] for trial in pairs])) if pairs else None
    many = many_to_one_of(runset, choices)
    for entry in rows:
        if tested := many.get(entry["row"]):
            entry |= {f"many_{key}": value for key, value in asdict(tested).items()}
    floors = noise_floors(runset, choices)
    wrong, images = runset.wrong(runset.baseline) if runset.runs.get(runset.baseline) else (np.empty((0, 0)), 0)
    predicted = power.independent_errors(wrong, images=images) if len(wrong) > 1 else None
    floor = floors["same" if choices.pairing == "paired" else "own"]
    ranges = {floor.size: floor} | {
        size: noise_floors(runset, choices, size=size)["same" if choices.pairing == "paired" else "own"]
        for size in {entry["pairs"] for entry in rows if entry["pairs"] >= MIN_TRIALS} - {floor.size}
    }
    correct_and_star(rows, ranges, choices.alpha)
    runs = runset.runs.get(runset.baseline, {}).values()
    base = [run.predicted for run in runs if len(run.predicted) and not runset.own_images]
    return Comparison(
        rows=rows,
        floor=floor,
        floors=floors,
        predicted=predicted,
        seed_disagreement=agreement.mean_disagreement(base),
        distances=distances.measure(runset, choices),
        trials=trials,
        machines=runset.machine_effects(),
    )


def many_to_one_of(runset: RunSet, choices: AnalysisOptions) -> dict[str, ManyToOne | None]:
    """Return Dunnett's test of the rows against the baseline, on all test images."""
    every = {row: np.array(list(runset.errors(row, Subset("all", runset.images)).values())) for row in runset.rows}
    baseline = every.get(runset.baseline, np.empty(0))
    found: dict[str, ManyToOne | None] = {}
    for own in (False, True):
        rows = [row for row in runset.variants if runset.own(row) == own]
        tested = many_to_one([every[row] for row in rows], baseline, margin=choices.margin, alpha=choices.alpha)
        found |= dict(zip(rows, tested, strict=True))
    if runset.spec.higher_is_better:
        found = {row: one and replace(one, better=one.worse, worse=one.better) for row, one in found.items()}
    return found


def noise_floors(
    runset: RunSet, choices: AnalysisOptions, subset: Subset | None = None, *, size: int | None = None
) -> dict[str, noise.NoiseFloor]:
    """Return the noise floor of pairs judged on the same images, and on each one's own.

    For rows of `size` trials; None: of as many as the longest row has.
    """
    has_baseline = bool(runset.runs.get(runset.baseline))
    cross = runset.cross_errors(runset.baseline, subset) if has_baseline else np.empty((0, 0))
    longest = max((len(runset.runs[row]) for row in runset.variants), default=0) or max(1, len(cross))
    return {
        name: noise.noise_floor(
            cross,
            same_images=name == "same",
            size=longest if size is None else size,
            groups=choices.groups,
            alpha=choices.alpha,
            rng=stream(choices.seed, "noise", runset.table, name),
        )
        for name in ("same", "own")
    }


def samples_of(
    row: dict[int, float], baseline: dict[int, float], pairing: str
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return `(samples, differences)` from errors by trial.

    Paired: one runset, the differences of the trials that both have. Unpaired: the two samples of errors, and the
    differences of all pairs of unlike trials (like ones share their seeds).
    """
    if pairing == "paired":
        differences = np.array([row[trial] - baseline[trial] for trial in row if trial in baseline])
        return (differences,), differences
    first, second = np.array(list(row.values())), np.array(list(baseline.values()))
    unlike = np.array(list(row))[:, np.newaxis] != np.array(list(baseline))[np.newaxis, :]
    return (first, second), (first[:, np.newaxis] - second[np.newaxis, :])[unlike]


def interval_of(samples: tuple[np.ndarray, ...], alpha: float) -> difference.Interval:
    """Return the interval of the mean of one sample of differences, or of the difference of two means."""
    if len(samples) == 1:
        return difference.paired_interval(samples[0], alpha)
    return difference.welch_interval(samples[0], samples[1], alpha)


def _row(runset: RunSet, row: str, errors: dict[str, dict[int, float]], choices: AnalysisOptions) -> dict[str, Any]:
    spec = runset.row(row)
    values = np.array(list(errors[row].values()))
    runs = list(runset.runs[row].values())
    baseline = errors.get(runset.baseline, {})
    entry: dict[str, Any] = {
        "row": row,
        "title": spec.title,
        "label": spec.label or row,
        "is_baseline": row == runset.baseline,
        "own": runset.own(row),
        "paper": spec.paper,
        "same_start": spec.same_start,
        "n": len(values),
        "expected": len(runset.trials[row]),
        "error_mean": float(values.mean()) if len(values) else None,
        "error_sd": float(values.std(ddof=1)) if len(values) > 1 else None,
        "params": runs[0].record.model.params if runs else None,
        "macs": runs[0].record.model.macs if runs else None,
        "images_per_second": _median([run.record.timings.train_images_per_second for run in runs]),
    }
    if row == runset.baseline:
        return entry | _nothing() | {"mean_absolute": 0.0 if runs else None, "pairs": len(values)}
    return entry | of_errors(
        errors[row],
        baseline,
        choices,
        bootstrap_rng=stream(choices.seed, "bootstrap", runset.table, row),
        permutation_rng=stream(choices.seed, "permutation", runset.table, row),
    )


def of_errors(
    row: dict[int, float],
    baseline: dict[int, float],
    choices: AnalysisOptions,
    *,
    bootstrap_rng: np.random.Generator,
    permutation_rng: np.random.Generator,
) -> dict[str, Any]:
    """Return the statistics of one row from its errors and the baseline's by trial, before what the table adds."""
    samples, differences = samples_of(row, baseline, choices.pairing)
    alpha, resamples = choices.alpha, choices.resamples
    paired = choices.pairing == "paired"
    interval = interval_of(samples, alpha)
    bootstrap = difference.bootstrap_interval(samples, alpha, resamples=resamples, rng=bootstrap_rng)
    test = difference.difference_test(samples, alpha, resamples=resamples, rng=permutation_rng)
    permutation = test.permutation
    equivalence = difference.equivalence(samples, choices.margin, alpha)
    detectable = power.detectable(samples, alpha, choices.power)
    both = [trial for trial in row if trial in baseline]
    of_row, of_baseline = np.array([[row[t], baseline[t]] for t in both]).reshape(-1, 2).T
    welch = difference.welch_interval(of_row, of_baseline, alpha)
    gain = difference.pairing_gain(of_row, of_baseline)
    absolute = difference.absolute(differences)
    return {
        "pairs": len(both) if paired else len(row),
        "mean_absolute": absolute and absolute.mean_absolute,
        "absolute_mean": absolute and absolute.absolute_mean,
        "difference_sd": float(samples[0].std(ddof=1)) if paired and len(both) > 1 else None,
        "mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "reason": interval.reason,
        "bootstrap_low": bootstrap.low,
        "bootstrap_high": bootstrap.high,
        "p": test.p,
        "test": "t" if test.by_t else "permutation",
        "permutation_p": permutation.p,
        "least": permutation.least,
        "is_least": permutation.is_least,
        "permutations": permutation.permutations,
        "exact": permutation.exact,
        "equivalence_p": equivalence.p,
        "equivalent": equivalence.equivalent,
        "detectable": detectable,
        "welch_low": welch.low,
        "welch_high": welch.high,
        "correlation": gain.correlation,
        "ratio": gain.ratio,
    }


def correct_and_star(rows: list[dict[str, Any]], ranges: dict[int, noise.NoiseFloor], alpha: float) -> None:
    """Add to the entries what depends on the whole table.

    `p_holm` and `equivalence_p_holm`, corrected over the rows, and `equivalent` by the latter. `floor_low` and
    `floor_high`, the range of the noise floor for the row's own number of trials, and whether it is `beyond_noise`:
    None for too few trials, and for a row that begins with the baseline's weights, which is no pair of unlike seeds.
    """
    # A row of one's own asks another question than the paper's rows do, and changes nothing of theirs.
    own = [entry.get("own", False) for entry in rows]
    corrected = difference.holm_in_families([entry["p"] for entry in rows], own)
    same = difference.holm_in_families([entry["equivalence_p"] for entry in rows], own)
    for entry, p, p_same in zip(rows, corrected, same, strict=True):
        floor = ranges.get(entry["pairs"])
        if floor is not None and (floor.too_few or entry["is_baseline"] or entry["pairs"] < MIN_TRIALS):
            floor = None
        entry["p_holm"], entry["equivalence_p_holm"] = p, p_same
        entry["equivalent"] = None if p_same is None else p_same < alpha
        entry["floor_low"], entry["floor_high"] = (floor.low, floor.high) if floor else (None, None)
        judged = floor is not None and floor.high is not None and not entry["same_start"]
        entry["beyond_noise"] = entry["mean_absolute"] > entry["floor_high"] if judged else None


_STATISTICS = (
    "absolute_mean difference_sd mean low high reason bootstrap_low bootstrap_high p test permutation_p least is_least"
    " permutations exact equivalence_p"
    " equivalent detectable welch_low welch_high correlation ratio"
).split()


def _nothing() -> dict[str, None]:
    return dict.fromkeys(_STATISTICS)


def _median(values: list[Any]) -> float | None:
    known = [value for value in values if isinstance(value, int | float) and np.isfinite(value)]
    return float(np.median(known)) if known else None


def _trials(runset: RunSet, row: str, errors: dict[str, dict[int, float]]) -> list[dict[str, Any]]:
    """One entry per finished trial of a row: its error, its difference, and McNemar's test on that trial's images."""
    entries = []
    for trial, run in runset.runs[row].items():
        entry: dict[str, Any] = {
            "row": row,
            "label": runset.row(row).label or row,
            "trial": trial,
            "error": errors[row][trial],
            "error_all": 100 * float(run.wrong.mean()) if len(run.labels) else None,
            "best_epoch": run.result.best_epoch,
            "best_error_all": run.result.best_test_error_all,
            "seconds": run.record.timings.seconds,
        } | dict.fromkeys(("difference", "only_row", "only_baseline", "mcnemar_p", "disagreement"))
        partner = runset.runs.get(runset.baseline, {}).get(trial)
        if partner is not None and row != runset.baseline:
            entry["difference"] = errors[row][trial] - errors[runset.baseline][trial]
            if len(run.predicted) and len(partner.predicted):
                entry["disagreement"] = agreement.disagreement(run.predicted, partner.predicted)
            if len(run.labels):
                chosen = runset.chosen(trial)
                test = agreement.mcnemar(run.wrong[chosen], partner.wrong[chosen])
                entry["only_row"], entry["only_baseline"] = test.only_row, test.only_baseline
                entry["mcnemar_p"] = test.p
        entries.append(entry)
    return entries
