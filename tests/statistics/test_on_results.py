"""The statistics on the committed trials of ten and five seeds, against values computed independently of them.

Of the narrowed rows trials 0 to 4: what later trials add is no matter of arithmetic.
"""

import itertools
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from made_runs import read_record
from scipy.special import softmax

from hybridsep.runs import records
from hybridsep.statistics import contrast, difference, distance, machines, many_to_one, noise, null, power

STUDY = Path(__file__).resolve().parents[2] / "results/runs/cifar10-jpeg-small-30ep"
FULL = ("inception", "resnext", "reformulated_inception", "separable_equivalent", "hybrid")
NARROWED = tuple(f"{row}_matched" for row in ("inception", "resnext", "reformulated_inception", "hybrid"))
BASELINE = "separable"
TRIALS = {row: 10 for row in (BASELINE, *FULL)} | {row: 5 for row in NARROWED}
PLACE = {(row, trial): place for place, (row, trial) in enumerate((r, t) for r, n in TRIALS.items() for t in range(n))}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@cache
def logits(row: str, trial: int) -> tuple[np.ndarray, np.ndarray]:
    values, labels = records.read_predictions(STUDY / row / f"trial-{trial:02d}")
    return values.astype(np.float32), labels


@cache
def wrong(row: str) -> np.ndarray:
    runs = [logits(row, trial) for trial in range(TRIALS[row])]
    return np.array([values.argmax(axis=1) != labels for values, labels in runs])


def errors(row: str, trials: int | None = None) -> np.ndarray:
    return 100 * wrong(row)[:trials].mean(axis=1)


@cache
def products() -> np.ndarray:
    return distance.inner_products([softmax(logits(row, trial)[0], axis=1) for row, trial in PLACE])


def runs_of(row: str) -> distance.Predictions:
    trials = np.arange(TRIALS[row])
    return distance.Predictions(trials, np.array([PLACE[row, trial] for trial in trials]))


def unit() -> float:
    return distance.squared_distance_of_seeds(products(), runs_of(BASELINE))


@cache
def from_baseline(row: str) -> distance.Distance:
    return distance.distance(
        products(), runs_of(row), runs_of(BASELINE), unit=unit(), alpha=0.05, resamples=99, rng=rng()
    )


def test_how_often_two_seeds_part():
    found = null.discordance(wrong(BASELINE))
    assert 100 * found.share == pytest.approx(12.66, abs=0.005) and found.pairs == 45
    assert 100 * found.error == pytest.approx(19.87, abs=0.005)
    assert found.relative == pytest.approx(0.40, abs=0.005)


def test_the_papers_numbers_under_the_null():
    share = 0.40 * 2 * 0.06 * 0.94
    near, far = (null.images_at_most(points, images=6000, trials=10) for points in (0.08, 0.12))
    assert (near, far) == (51, 75)
    low, high = (null.probability(share, images=6000, trials=10, limit=limit) for limit in (near, far))
    assert low.mean_absolute == pytest.approx(0.0013, abs=5e-5) and high.mean_absolute == pytest.approx(0.027, abs=5e-4)
    assert low.absolute_mean == pytest.approx(0.68, abs=0.005) and high.absolute_mean == pytest.approx(0.85, abs=0.005)
    # Both rows against one baseline: 8e-5. Without the baseline in common it would be half of that.
    together = null.both(share, images=6000, trials=10, limits=(near, far))
    assert together == pytest.approx(8.0e-5, abs=5e-7)


@pytest.mark.parametrize(
    ("row", "value", "p", "holm"),
    [
        ("separable_equivalent", -0.002, 0.62, 0.62),
        ("hybrid", 0.067, 1 / 126, 0.040),
        ("resnext", 0.105, 1 / 126, 0.040),
        ("reformulated_inception", 0.172, 1 / 126, 0.040),
        ("inception", 0.195, 1 / 126, 0.040),
    ],
)
def test_distance_of_functions(row, value, p, holm):
    found = from_baseline(row)
    assert found.value == pytest.approx(value, abs=0.0006) and found.trials == 10
    assert found.test.p == pytest.approx(p, abs=0.005) and found.test.permutations == 126 and found.test.exact
    corrected = difference.holm([from_baseline(other).test.p for other in FULL])[FULL.index(row)]
    assert corrected == pytest.approx(holm, abs=0.0005 if holm < 0.5 else 0.005)


def test_distances_have_the_spread_of_the_jackknife():
    assert from_baseline("hybrid").error == pytest.approx(0.005, abs=0.0005)
    assert from_baseline("separable_equivalent").error == pytest.approx(0.004, abs=0.0005)
    assert from_baseline("hybrid_matched").error == pytest.approx(0.013, abs=0.0005)


def test_the_unit_of_the_distance_hardly_widens_its_interval():
    """What docs/statistics.md says of taking the unit as known."""

    def jackknife(statistic, trials):
        without = [statistic(np.delete(trials, place)) for place in range(len(trials))]
        return np.sqrt((len(trials) - 1) * np.var(without))

    def seeds(trials):
        return distance.squared_distance_of_seeds(products(), runs_of(BASELINE).of(trials))

    assert jackknife(seeds, np.arange(10)) / unit() == pytest.approx(0.012, abs=5e-4)
    for row in (*FULL, *NARROWED):
        runs, base = runs_of(row), runs_of(BASELINE)
        both = jackknife(
            lambda trials: distance.squared_distance(products(), runs.of(trials), base.of(trials)) / seeds(trials),  # noqa: B023
            runs.trials,
        )
        assert abs(both / from_baseline(row).error - 1) < 0.11, row


def test_seeds_spread_more_than_independent_errors_would():
    spread = power.independent_errors(wrong(BASELINE), images=10_000)
    assert spread.measured == pytest.approx(0.35, abs=0.005) and spread.predicted == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("hybrid_matched", 0.059),
        ("resnext_matched", 0.081),
        ("reformulated_inception_matched", 0.091),
        ("inception_matched", 0.074),
    ],
)
def test_distance_of_narrowed_rows(row, value):
    found = from_baseline(row)
    assert found.value == pytest.approx(value, abs=0.0006) and found.trials == 5
    assert found.test.p == pytest.approx(1 / 126) and found.test.is_least


def test_which_row_is_nearest_holds_at_full_size_only():
    def farther(far, near):
        runs = [runs_of(row) for row in (near, far, BASELINE)]
        return distance.nearer(products(), *runs, unit=unit(), alpha=0.05)

    assert all(farther(row, "hybrid").low > 0 for row in FULL[:3])
    assert all(farther(row, "hybrid_matched").low < 0 for row in NARROWED[:3])
    assert farther("resnext", "hybrid").mean == pytest.approx(0.105 - 0.067, abs=0.001)


def test_the_baseline_is_at_no_distance_from_itself():
    runs, values = runs_of(BASELINE), []
    # Run 0 is always in the first half: the mirror image is the same division.
    for others in itertools.combinations(range(1, 10), 4):
        halves = runs.of(np.array([0, *others])), runs.of(np.setdiff1d(range(10), [0, *others]))
        values.append(distance.squared_distance(products(), *halves) / unit())
    assert len(values) == 126
    assert np.mean(values) == pytest.approx(0, abs=1e-3) and np.std(values) == pytest.approx(0.005, abs=5e-4)


def test_the_matrix_of_distances():
    rows = (BASELINE, *FULL, *NARROWED)
    found = distance.matrix(products(), [runs_of(row) for row in rows], unit())
    assert np.array_equal(found, found.T) and not np.isnan(found).any() and not np.diag(found).any()
    assert found[0, 1:6] == pytest.approx([from_baseline(row).value for row in FULL])


def test_many_to_one_on_all_images():
    rows = (*NARROWED, "separable_equivalent")
    tested = many_to_one.many_to_one([errors(row) for row in rows], errors(BASELINE), margin=0.25, alpha=0.05)
    found = dict(zip(rows, tested, strict=True))
    assert found["inception_matched"].p == pytest.approx(0.0005, abs=5e-5)
    assert found["reformulated_inception_matched"].p == pytest.approx(3e-7, abs=5e-8)
    assert found["hybrid_matched"].p == pytest.approx(0.033, abs=5e-4)
    assert found["resnext_matched"].p > 0.5
    for one in found.values():
        assert one.better + one.same + one.worse == pytest.approx(1)
        # The interval and the test agree.
        assert (one.low > 0 or one.high < 0) == (one.p < 0.05)
    assert found["reformulated_inception_matched"].worse > 0.99 and found["separable_equivalent"].same > 0.8


@pytest.mark.parametrize(
    ("row", "mean", "low", "high"),
    [
        ("inception", 4.05, 3.89, 4.20),
        ("reformulated_inception", 4.23, 3.95, 4.51),
        ("resnext", 1.79, 1.58, 2.00),
        ("hybrid", 1.41, 0.84, 1.98),
    ],
)
def test_narrowed_less_full(row, mean, low, high):
    pair = np.array([errors(f"{row}_matched"), errors(row, 5)])
    found = contrast.contrast(pair, (1, -1), alpha=0.05, margin=0.25, resamples=99, rng=rng())
    assert (found.interval.mean, found.interval.low, found.interval.high) == pytest.approx((mean, low, high), abs=0.006)
    assert found.interval.p < 0.005
    # Five trials of one sign: the flips can say no more than 2 / 32.
    assert found.flips.p == found.flips.least == 2 / 32 and found.flips.is_least


def test_the_range_of_the_noise_floor_is_that_of_the_rows_own_number_of_trials():
    # On each trial's own 6,000 images the floor is 0.48 points (0.28 to 0.82 for ten trials); here on all images.
    cross = np.repeat(errors(BASELINE)[:, np.newaxis], 10, axis=1)
    ten, five = (
        noise.noise_floor(cross, same_images=True, size=size, groups=10_000, alpha=0.05, rng=rng()) for size in (10, 5)
    )
    assert ten.mean == five.mean
    assert 0.48 * ten.low / ten.mean == pytest.approx(0.28, abs=0.01)
    assert 0.48 * ten.high / ten.mean == pytest.approx(0.82, abs=0.02)
    assert 0.48 * five.low / five.mean == pytest.approx(0.21, abs=0.01)
    assert 0.48 * five.high / five.mean == pytest.approx(0.92, abs=0.02)


def test_machines():
    rows = (BASELINE, *FULL, *NARROWED)
    every = [(row, trial) for row in rows for trial in range(TRIALS[row])]
    machine = [read_record(STUDY / row / f"trial-{trial:02d}")["machine"]["processor"] for row, trial in every]
    [effect] = machines.machine_effects(
        np.concatenate([errors(row) for row in rows]),
        np.array([rows.index(row) for row, _ in every]),
        np.array(["Intel" in processor for processor in machine], dtype=int),
    )
    assert effect.mean == pytest.approx(-0.14, abs=0.005) and effect.error == pytest.approx(0.08, abs=0.005)


def test_ten_trials_could_hardly_show_equality():
    spread, _ = many_to_one.pooled_spread([errors(row) for row in (BASELINE, *FULL, *NARROWED)])
    assert spread == pytest.approx(0.28, abs=0.005)
    assert power.equivalence_power(spread * np.sqrt(2), 0.25, 10, 0.05) < 0.25
    needed = power.trials_for(lambda n: power.equivalence_power(spread * np.sqrt(2), 0.25, n, 0.05), 0.8)
    assert needed == 24
