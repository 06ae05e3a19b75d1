"""Every statistic of one table: the errors of a set of runs go in, what `hybridsep.statistics` says of each row comes
out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np

from hybridsep.report import distances
from hybridsep.report.distances import Distances
from hybridsep.report.runset import RunSet, Subset
from hybridsep.report.settings import AnalysisOptions, RowSpec
from hybridsep.runs.record import Cost, Result
from hybridsep.runs.seeds import stream
from hybridsep.statistics import agreement, difference, noise, power
from hybridsep.statistics.agreement import McNemar
from hybridsep.statistics.difference import Absolute, Equivalence, Interval, PairingGain, PermutationTest
from hybridsep.statistics.many_to_one import ManyToOne, many_to_one
from hybridsep.statistics.noise import MIN_TRIALS, NoiseFloor

Errors = Mapping[int, float]  # by trial, in percent
_NO_INTERVAL = Interval(None, None, None)


@dataclass(frozen=True)
class Difference:
    """How a row's errors differ from the baseline's, in points; without statistics, of the baseline itself.

    `samples` is what it was computed from: one sample of differences of paired trials, or the errors of the row and
    those of the baseline; so a column of a table can hold a statistic of them that no other one needs.
    `p` is that of `test`; `p_holm` and `equivalence_holm` are corrected over the rows of the table. `sd` is the
    standard deviation over paired trials, `detectable` the difference that this many trials find.
    """

    samples: tuple[np.ndarray, ...] = field(default=(), compare=False, repr=False)
    pairs: int = 0
    absolute: Absolute | None = None
    sd: float | None = None
    interval: Interval = _NO_INTERVAL
    bootstrap: Interval = _NO_INTERVAL
    welch: Interval = _NO_INTERVAL
    permutation: PermutationTest = PermutationTest(None, None, None, 0)
    p: float | None = None
    test: Literal["t", "permutation"] | None = None
    equivalence: Equivalence = Equivalence(None, None)
    detectable: float | None = None
    gain: PairingGain = PairingGain(None, None)
    p_holm: float | None = None
    equivalence_holm: Equivalence = Equivalence(None, None)


@dataclass(frozen=True)
class TrialResult:
    """One finished trial; `mcnemar` and `disagreement` compare it with the baseline's, image by image."""

    row: str
    label: str
    trial: int
    error: float
    error_all: float | None
    result: Result
    difference: float | None = None
    mcnemar: McNemar | None = None
    disagreement: float | None = None


@dataclass(frozen=True)
class RowResult:
    """One row: `n` finished trials of those `expected`, their errors, and the difference from the baseline.

    `extra`: it stands beside the paper's. Of `mcnemar_n` trials with McNemar's test `mcnemar_significant` are below
    alpha. `floor` is the noise floor for so many trials, None where they are too few for its range; `beyond_noise` is
    None there, and for a row that begins with the baseline's weights, which is no pair of unlike seeds.
    """

    row: str
    spec: RowSpec
    n: int
    mean_absolute: float | None
    expected: int | None = None
    is_baseline: bool = False
    extra: bool = False
    error_mean: float | None = None
    error_sd: float | None = None
    cost: Cost = Cost()
    images_per_second: float | None = None
    difference: Difference = Difference()
    mcnemar_n: int = 0
    mcnemar_significant: int = 0
    disagreement: float | None = None
    many: ManyToOne | None = None
    floor: NoiseFloor | None = None
    beyond_noise: bool | None = None

    @property
    def label(self) -> str:
        """What the row is called in a line of a table."""
        return self.spec.label or self.row


@dataclass(frozen=True)
class Comparison:
    """What the numbers of one table say. `rows` are in the table's order.

    `floor` is the noise floor that they are held against; `floors` has it for both ways of choosing images (`same`,
    `own`).
    """

    rows: list[RowResult]
    floor: NoiseFloor
    floors: dict[str, NoiseFloor]
    predicted: power.IndependentErrors | None
    seed_disagreement: agreement.Disagreement
    trials: list[TrialResult]
    measure_distances: Callable[[], Distances | None] = field(repr=False)

    @cached_property
    def distances(self) -> Distances | None:
        """The distances of functions: measured when asked for, because that reads every prediction."""
        return self.measure_distances()

    @property
    def too_few(self) -> bool:
        """Whether the baseline has too few trials for a range of its noise."""
        return self.floor.too_few

    def of(self, row: str) -> RowResult:
        """Return the result of one row. Raises StopIteration for a row that is not in the table."""
        return next(result for result in self.rows if result.row == row)


def compare(runset: RunSet, options: AnalysisOptions) -> Comparison:
    """Return every statistic of the runset under `options`."""
    errors = {row: runset.errors(row) for row in runset.rows}
    trials = {row: _trials(runset, row, errors) for row in runset.rows}
    many = many_to_one_of(runset, options)
    rows = [_row(runset, row, errors, trials[row], many.get(row), options) for row in runset.rows]
    way = "same" if options.pairing == "paired" else "own"
    floors = noise_floors(runset, options)
    floor = floors[way]
    sizes = {row.difference.pairs for row in rows if row.difference.pairs >= MIN_TRIALS} - {floor.size}
    by_size = {floor.size: floor} | {size: noise_floors(runset, options, size=size)[way] for size in sizes}
    wrong, images = runset.wrong(runset.baseline) if runset.runs.get(runset.baseline) else (np.empty((0, 0)), 0)
    baseline = runset.runs.get(runset.baseline, {}).values()
    return Comparison(
        rows=in_table(rows, by_size, options.alpha),
        floor=floor,
        floors=floors,
        predicted=power.independent_errors(wrong, images=images) if len(wrong) > 1 else None,
        seed_disagreement=agreement.mean_disagreement(
            [run.predicted for run in baseline if len(run.predicted) and not runset.own_images]
        ),
        trials=[trial for row in runset.rows for trial in trials[row]],
        measure_distances=partial(distances.measure, runset, options),
    )


def many_to_one_of(runset: RunSet, options: AnalysisOptions) -> dict[str, ManyToOne | None]:
    """Return Dunnett's test of the rows against the baseline, on all test images."""
    every = {row: np.array(list(runset.errors(row, Subset("all", runset.images)).values())) for row in runset.rows}
    baseline = every.get(runset.baseline, np.empty(0))
    results: dict[str, ManyToOne | None] = {}
    for extra in (False, True):
        rows = [row for row in runset.variants if runset.is_extra(row) == extra]
        tests = many_to_one([every[row] for row in rows], baseline, margin=options.margin, alpha=options.alpha)
        results |= dict(zip(rows, tests, strict=True))
    if runset.spec.higher_is_better:
        results = {row: one and replace(one, better=one.worse, worse=one.better) for row, one in results.items()}
    return results


def noise_floors(
    runset: RunSet, options: AnalysisOptions, subset: Subset | None = None, *, size: int | None = None
) -> dict[str, NoiseFloor]:
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
            groups=options.groups,
            alpha=options.alpha,
            rng=stream(options.seed, "noise", runset.table, name),
        )
        for name in ("same", "own")
    }


def samples_of(row: Errors, baseline: Errors, pairing: str) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return `(samples, differences)` from errors by trial.

    Paired: one sample, the differences of the trials that both have. Unpaired: the two samples of errors, and the
    differences of all pairs of unlike trials (like ones share their seeds).
    """
    if pairing == "paired":
        differences = np.array([row[trial] - baseline[trial] for trial in row if trial in baseline])
        return (differences,), differences
    first, second = np.array(list(row.values())), np.array(list(baseline.values()))
    unlike = np.array(list(row))[:, np.newaxis] != np.array(list(baseline))[np.newaxis, :]
    return (first, second), (first[:, np.newaxis] - second[np.newaxis, :])[unlike]


def _row(
    runset: RunSet,
    row: str,
    errors: Mapping[str, Errors],
    trials: Sequence[TrialResult],
    many: ManyToOne | None,
    options: AnalysisOptions,
) -> RowResult:
    values = np.array(list(errors[row].values()))
    runs = list(runset.runs[row].values())
    tests = [trial.mcnemar for trial in trials if trial.mcnemar]
    shares = [trial.disagreement for trial in trials if trial.mcnemar and trial.disagreement is not None]
    speeds = [speed for run in runs if (speed := run.record.timings.train_images_per_second) is not None]
    if row == runset.baseline:
        change, mean_absolute = Difference(pairs=len(values)), 0.0 if runs else None
    else:
        change = _difference(runset, row, errors[row], errors.get(runset.baseline, {}), options)
        mean_absolute = change.absolute.mean_absolute if change.absolute else None
    return RowResult(
        row=row,
        spec=runset.row(row),
        n=len(values),
        mean_absolute=mean_absolute,
        expected=len(runset.trials[row]),
        is_baseline=row == runset.baseline,
        extra=runset.is_extra(row),
        error_mean=float(values.mean()) if len(values) else None,
        error_sd=float(values.std(ddof=1)) if len(values) > 1 else None,
        cost=runs[0].record.model if runs else Cost(),
        images_per_second=float(np.median(speeds)) if speeds else None,
        difference=change,
        mcnemar_n=len(tests),
        mcnemar_significant=sum(test.p < options.alpha for test in tests),
        disagreement=float(np.mean(shares)) if shares else None,
        many=many,
    )


def _difference(runset: RunSet, name: str, row: Errors, baseline: Errors, options: AnalysisOptions) -> Difference:
    """Return the difference of one row's errors from the baseline's by trial, before what the table adds."""
    samples, differences = samples_of(row, baseline, options.pairing)
    alpha, resamples, paired = options.alpha, options.resamples, options.pairing == "paired"
    rng, permutation_rng = (stream(options.seed, what, runset.table, name) for what in ("bootstrap", "permutation"))
    test = difference.difference_test(samples, alpha, resamples=resamples, rng=permutation_rng)
    both = [trial for trial in row if trial in baseline]
    of_row, of_baseline = np.array([[row[t], baseline[t]] for t in both]).reshape(-1, 2).T
    return Difference(
        samples=samples,
        pairs=len(both) if paired else len(row),
        absolute=difference.absolute(differences),
        sd=float(samples[0].std(ddof=1)) if paired and len(both) > 1 else None,
        interval=difference.mean_interval(samples, alpha),
        bootstrap=difference.bootstrap_interval(samples, alpha, resamples=resamples, rng=rng),
        welch=difference.mean_interval((of_row, of_baseline), alpha),
        permutation=test.permutation,
        p=test.p,
        test="t" if test.by_t else "permutation",
        equivalence=difference.equivalence(samples, options.margin, alpha),
        detectable=power.detectable(samples, alpha, options.power),
        gain=difference.pairing_gain(of_row, of_baseline),
    )


def in_table(rows: Sequence[RowResult], floors: Mapping[int, NoiseFloor], alpha: float) -> list[RowResult]:
    """Return the rows with what depends on the whole table: p corrected over them, and the noise floor by `pairs`."""
    # A row of one's own asks another question than the paper's rows do, and changes nothing of theirs.
    extra = [row.extra for row in rows]
    corrected = difference.holm([row.difference.p for row in rows], extra)
    same = difference.holm([row.difference.equivalence.p for row in rows], extra)
    results = []
    for row, p, p_same in zip(rows, corrected, same, strict=True):
        equivalence = Equivalence(p_same, None if p_same is None else p_same < alpha)
        floor = None if row.is_baseline or row.difference.pairs < MIN_TRIALS else floors.get(row.difference.pairs)
        floor = None if floor is None or floor.too_few else floor
        beyond = None
        if floor and floor.high is not None and row.mean_absolute is not None and not row.spec.same_start:
            beyond = row.mean_absolute > floor.high
        change = replace(row.difference, p_holm=p, equivalence_holm=equivalence)
        results.append(replace(row, difference=change, floor=floor, beyond_noise=beyond))
    return results


def _trials(runset: RunSet, row: str, errors: Mapping[str, Errors]) -> list[TrialResult]:
    """One result per finished trial of a row: its error, its difference, and McNemar's test on that trial's images."""
    results = []
    for trial, run in runset.runs[row].items():
        result = TrialResult(
            row=row,
            label=runset.label(row),
            trial=trial,
            error=errors[row][trial],
            error_all=100 * float(run.wrong.mean()) if len(run.labels) else None,
            result=run.result,
        )
        partner = runset.runs.get(runset.baseline, {}).get(trial)
        if partner is not None and row != runset.baseline:
            result = replace(result, difference=errors[row][trial] - errors[runset.baseline][trial])
            if len(run.predicted) and len(partner.predicted):
                result = replace(result, disagreement=agreement.disagreement(run.predicted, partner.predicted))
            if len(run.labels):
                chosen = runset.chosen(trial)
                result = replace(result, mcnemar=agreement.mcnemar(run.wrong[chosen], partner.wrong[chosen]))
        results.append(result)
    return results
