"""Statistics on arrays whose answer is known: by hand, by another computation, or because the truth was simulated."""

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from hybridsep.statistics import agreement, difference, noise, power


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_mean_absolute_by_hand():
    found = difference.absolute(np.array([1.0, -2.0, 3.0]))
    assert found.mean_absolute == 2.0
    assert found.absolute_mean == pytest.approx(2 / 3)


def test_interval_and_p_by_hand():
    # Mean 2, standard error 1 / sqrt(3), t(0.975; 2) = 4.30265.
    found = difference.mean_interval((np.array([1.0, 2.0, 3.0]),), 0.05)
    assert found.mean == 2.0
    half = 4.30265 / np.sqrt(3)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-5)
    # t = 2 sqrt(3) with 2 degrees of freedom, whose distribution is t / sqrt(2 + t^2).
    assert found.p == pytest.approx(1 - np.sqrt(12 / 14))
    unpaired = difference.mean_interval((np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.5])), 0.05)
    welch = stats.ttest_ind([1, 2, 3], [0, 0.5], equal_var=False)
    assert unpaired.mean == 1.75 and unpaired.p == pytest.approx(welch.pvalue)
    assert unpaired.low == pytest.approx(welch.confidence_interval().low)
    assert power.half_width(np.array([1.0, 2.0, 3.0]), 0.05, trials=3) == pytest.approx(half, abs=1e-5)


@pytest.mark.parametrize(
    ("values", "p"),
    [([1, 2, 3], 2 / 8), ([1, -1], 1.0), ([1] * 10, 2 / 1024), ([3, 2, -1], 4 / 8), ([0, 0, 0], 1.0)],
)
def test_sign_flips_by_hand(values, p):
    found = difference.permutation_test((np.array(values, dtype=float),), resamples=99, rng=rng())
    assert found.p == pytest.approx(p)
    assert found.exact and found.permutations == 2 ** len(values)


def exact_flips(counts):
    """Two-sided p of whole counts, by going through all flips in integers."""
    flips = np.array(list(itertools.product((1, -1), repeat=len(counts)))) @ np.array(counts)
    return np.mean(np.abs(flips) >= abs(sum(counts)))


@pytest.mark.parametrize("images", [6000, 10_000, 7])
@pytest.mark.parametrize("counts", [[1, 7, -1, 1, 1, 0, 3, 1], [2, -2, 1, -1, 1], [3, 3, -3, 1, -1, -1, -1]])
def test_ties_of_whole_images_count(counts, images):
    base = np.array([1168, 1106, 1112, 1122, 1178, 1158, 1162, 1180])[: len(counts)]
    differences = 100 * (base + counts) / images - 100 * base / images
    found = difference.permutation_test((differences,), resamples=99, rng=rng())
    assert found.p == exact_flips(counts) and found.least == 2 / 2 ** len(counts)


def test_ties_of_regroupings_count():
    row, base = np.array([1169, 1106, 1111, 1123]), np.array([1168, 1106, 1112, 1122])
    counts = np.concatenate([row, base])
    apart = [2 * counts[list(part)].sum() - counts.sum() for part in itertools.combinations(range(8), 4)]
    exact = np.mean(np.abs(apart) >= abs(row.sum() - base.sum()))
    found = difference.permutation_test((100 * row / 6000, 100 * base / 6000), resamples=99, rng=rng())
    assert found.p == exact


def test_the_least_p_is_named():
    one_sided = difference.permutation_test((np.array([1.0, 2, 3, 4, 5]),), resamples=99, rng=rng())
    assert one_sided.p == one_sided.least == 2 / 32 and one_sided.is_least
    assert not difference.permutation_test((np.array([1.0, 2, 3, 4, -5]),), resamples=99, rng=rng()).is_least


def test_regroupings_by_hand():
    # Of the 20 ways to choose three of six values, only the observed one and its mirror are as far apart.
    found = difference.permutation_test((np.array([4.0, 5, 6]), np.array([1.0, 2, 3])), resamples=99, rng=rng())
    assert found.p == pytest.approx(2 / 20) and found.permutations == 20


def test_holm_by_hand_leaves_missing_rows_out():
    assert difference.holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert difference.holm([None, None]) == [None, None]


def test_holm_corrects_each_family_by_itself():
    assert difference.holm([0.01, 0.04, None, 0.03, 0.02], [False, True, True, False, True]) == pytest.approx(
        [0.02, 0.04, None, 0.03, 0.04]
    )


def test_noise_floor_by_hand_and_too_few_for_a_range():
    # Errors 0, 1 and 3 on every image set: pairs 1, 3 and 2 apart.
    cross = np.repeat(np.array([[0.0], [1.0], [3.0]]), 3, axis=1)
    for same in (True, False):
        found = noise.noise_floor(cross, same_images=same, size=3, groups=500, alpha=0.05, rng=rng())
        assert found.mean == 2.0 and found.pairs == 3
        assert found.low is None and found.high is None
    assert found.theory == pytest.approx(2 * np.std([0, 1, 3], ddof=1) / np.sqrt(np.pi))


def test_noise_floor_on_the_same_images_drops_what_the_images_add():
    # The same network twice: only the images differ, so pairs on the same images agree exactly.
    cross = np.array([[5.0, 7.0], [5.0, 7.0]])
    same, own = (
        noise.noise_floor(cross, same_images=flag, size=2, groups=100, alpha=0.05, rng=rng()) for flag in (True, False)
    )
    assert same.mean == 0.0 and own.mean == 2.0


def test_disagreement_by_hand_and_by_all_pairs():
    predicted = [np.array([0, 1, 2, 3]), np.array([0, 1, 2, 0]), np.array([0, 0, 0, 0])]
    assert agreement.disagreement(predicted[0], predicted[1]) == 25.0
    matrix = agreement.disagreement_matrix(predicted)
    assert matrix.tolist() == [[0, 25, 75], [25, 0, 50], [75, 50, 0]]
    found = agreement.mean_disagreement(predicted)
    assert found.percent == pytest.approx(matrix[np.triu_indices(3, 1)].mean()) and found.pairs == 3


def test_mcnemar_by_hand():
    row = np.array([1, 1, 1, 0, 1, 0, 0], dtype=bool)
    baseline = np.array([0, 0, 0, 1, 1, 0, 0], dtype=bool)
    # Three against one: twice the probability of at most one head in four throws.
    assert agreement.mcnemar(row, baseline) == agreement.McNemar(3, 1, pytest.approx(2 * 5 / 16))
    assert agreement.mcnemar(row, ~row).p == pytest.approx(min(1.0, stats.binomtest(4, 7).pvalue))
    assert agreement.mcnemar(row, row).p == 1.0


def test_pairing_gain_by_hand():
    baseline = np.array([1.0, 2.0, 3.0])
    found = difference.pairing_gain(baseline + np.array([0.1, -0.1, 0.1]), baseline)
    assert found.correlation > 0.99 and found.ratio > 50
    opposed = difference.pairing_gain(-baseline, baseline)
    assert opposed.correlation == pytest.approx(-1) and opposed.ratio == pytest.approx(0.5)


def test_equivalence_when_equal_and_when_not():
    near, far = np.array([0.01, -0.02, 0.0, 0.01, -0.01]), np.array([0.5, 0.52, 0.48, 0.51, 0.5])
    assert difference.equivalence((near,), 0.25, 0.05).equivalent is True
    assert difference.equivalence((far,), 0.25, 0.05).equivalent is False
    assert difference.equivalence((far,), 0.75, 0.05).equivalent is True
    base = np.array([6.0, 6.01, 5.99, 6.0, 6.02])
    assert difference.equivalence((base + near, base), 0.25, 0.05).equivalent is True
    assert difference.equivalence((base + far, base), 0.25, 0.05).equivalent is False


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_detectable_difference_has_the_power_it_claims(n):
    differences = rng(n).normal(0, 0.2, n)
    found = power.detectable((differences,), 0.05, 0.8)
    reached = TTestPower().power(found / differences.std(ddof=1), n, 0.025, alternative="larger")
    assert reached == pytest.approx(0.8, abs=1e-6)
    more = power.detectable((differences,), 0.05, 0.8, trials=n + 1)
    assert more < found


@pytest.mark.parametrize("values", [[], [0.3], [0.5, 0.5, 0.5], [6.1 - 6.0, 8.1 - 8.0]])
def test_what_cannot_be_computed_is_none_with_a_reason(values):
    one = np.array(values, dtype=float)
    for samples in ((one,), (one, one)):
        assert difference.bootstrap_interval(samples, 0.05, resamples=99, rng=rng()).low is None
        assert difference.equivalence(samples, 0.25, 0.05).p is None
        assert power.detectable(samples, 0.05, 0.8) is None
    for found in (
        difference.mean_interval((one,), 0.05),
        difference.mean_interval((one, one), 0.05),
        difference.pairing_gain(one, one),
    ):
        assert all(getattr(found, key, None) is None for key in ("low", "high", "correlation"))
    assert difference.mean_interval((one,), 0.05).reason and difference.mean_interval((one, one), 0.05).reason
    assert power.half_width(one, 0.05, trials=3) is None


def test_two_trials_give_an_interval_but_no_bootstrap():
    two = np.array([0.1, 0.3])
    assert difference.mean_interval((two,), 0.05).low == pytest.approx(0.2 - 12.7062 * 0.1, abs=1e-4)
    assert difference.bootstrap_interval((two,), 0.05, resamples=99, rng=rng()).low is None
    assert difference.permutation_test((two,), resamples=99, rng=rng()).p == 0.5


def test_intervals_cover_the_truth_as_often_as_they_claim():
    draws = rng(1).normal(0.3, 0.2, (1200, 10))
    others = rng(2).normal(0.1, 0.5, (1200, 10))
    paired = [difference.mean_interval((sample,), 0.05) for sample in draws]
    welch = [difference.mean_interval((a, b), 0.05) for a, b in zip(draws, others, strict=True)]
    # Three standard errors of a share of 0.95 in 1,200 draws are 0.019.
    assert np.mean([one.low < 0.3 < one.high for one in paired]) == pytest.approx(0.95, abs=0.019)
    assert np.mean([one.low < 0.2 < one.high for one in welch]) == pytest.approx(0.95, abs=0.019)


def test_bootstrap_covers_nearly_as_often():
    draws = rng(3).normal(0.3, 0.2, (400, 8))
    found = [difference.bootstrap_interval((sample,), 0.05, resamples=999, rng=rng(4)) for sample in draws]
    # A plain BCa interval covers 88 % at eight observations; three standard errors are 0.033.
    assert np.mean([one.low < 0.3 < one.high for one in found]) == pytest.approx(0.94, abs=0.033)


def test_a_bootstrap_needs_a_range_that_covers_its_level():
    sample = rng(8).normal(0.3, 0.2, 6)

    def found(trials, alpha):
        return difference.bootstrap_interval((sample[:trials],), alpha, resamples=999, rng=rng())

    # The range of n values misses their centre in 2^(1 - n): 1/16 at five, 1/32 at six.
    assert found(5, 0.05).low is None and found(6, 0.05).low is not None
    assert found(5, 0.07).low is not None and found(6, 0.03).low is None


def test_false_positive_rates():
    still = rng(5).normal(0.0, 0.2, (500, 6))
    p = [difference.permutation_test((sample,), resamples=99, rng=rng()).p for sample in still]
    # The exact test at n = 6 can reject at 2/64 = 0.031 only.
    assert np.mean(np.array(p) < 0.05) == pytest.approx(2 / 64, abs=0.024)
    edge = rng(6).normal(0.25, 0.1, (2000, 10))
    found = [difference.equivalence((sample,), 0.25, 0.05).equivalent for sample in edge]
    assert np.mean(found) == pytest.approx(0.05, abs=0.015)


def test_detectable_difference_is_detected_as_often_as_it_says():
    effect = power.detectable((np.array([-1.0, 1.0] * 5) * np.sqrt(0.9),), 0.05, 0.8)
    draws = rng(7).normal(effect, 1.0, (4000, 10))
    assert np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.02)


def test_noise_floor_of_normal_trials_is_what_theory_says():
    floors, inside = [], []
    for seed in range(300):
        errors = rng(seed).normal(6, 0.2, 10)
        cross = np.repeat(errors[:, np.newaxis], 10, axis=1)
        found = noise.noise_floor(cross, same_images=False, size=10, groups=100, alpha=0.05, rng=rng())
        floors.append(found.mean)
        inside.append(found.low < found.mean < found.high)
    assert np.mean(floors) == pytest.approx(2 * 0.2 / np.sqrt(np.pi), rel=0.04)
    assert all(inside)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("trials", "size"), [(5, 5), (10, 6)])
def test_the_range_of_the_noise_floor_holds_a_row_that_does_not_differ(trials, size, paired):
    low, high = noise.relative_range(trials, size, paired=paired, draws=20_000, alpha=0.05, rng=rng())
    outside = []
    for seed in range(1500):
        row, baseline = rng(seed).normal(6, 0.2, size), rng(10_000 + seed).normal(6, 0.2, trials)
        apart = np.abs(row[:, np.newaxis] - baseline)
        like = np.eye(size, trials, dtype=bool)
        pairs = np.abs(baseline[:, np.newaxis] - baseline)[~np.eye(trials, dtype=bool)].mean()
        outside.append(not low < apart[like if paired else ~like].mean() / pairs < high)
    assert np.mean(outside) == pytest.approx(0.05, abs=0.017)
