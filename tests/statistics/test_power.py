"""How many trials settle a question: powers against simulated studies, the predicted spread against simulated runs."""

import numpy as np
import pytest
from scipy import stats

from hybridsep.statistics import difference, power


def simulated(trials: int, *, spread: float, mean: float, studies: int = 20_000) -> np.ndarray:
    return np.random.default_rng(trials).normal(mean, spread, size=(studies, trials))


def within(share: float, expected: float, studies: int = 20_000) -> bool:
    """Four standard errors of a share that was counted in so many studies."""
    return abs(share - expected) < 4 * np.sqrt(max(expected * (1 - expected), 1e-4) / studies)


@pytest.mark.parametrize(("trials", "mean"), [(3, 0.8), (10, 0.4), (40, 0.12), (10, 0.0)])
def test_detection_power_is_that_of_simulated_studies(trials, mean):
    studies = simulated(trials, spread=0.5, mean=mean)
    share = float((stats.ttest_1samp(studies, 0.0, axis=1).pvalue < 0.05).mean())
    assert within(share, power.detection_power(0.5, mean, trials, 0.05))


@pytest.mark.parametrize(("spread", "trials"), [(1e-6, 2), (0.01, 2), (0.01, 5), (0.05, 100), (1.0, 10_000)])
def test_the_power_of_large_effects_is_a_number(spread, trials):
    critical, shift = stats.t.ppf(0.975, trials - 1), 0.12 / spread * np.sqrt(trials)
    expected = stats.nct.sf(critical, trials - 1, shift)
    assert power.detection_power(spread, 0.12, trials, 0.05) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("trials", "margin", "mean"), [(5, 0.8, 0.0), (10, 0.25, 0.0), (40, 0.25, 0.0), (40, 0.25, 0.1)]
)
def test_equivalence_power_is_that_of_simulated_studies(trials, margin, mean):
    studies = simulated(trials, spread=0.5, mean=mean)
    error = studies.std(axis=1, ddof=1) / np.sqrt(trials)
    share = float((np.abs(studies.mean(axis=1)) < margin - stats.t.ppf(0.95, trials - 1) * error).mean())
    assert within(share, power.equivalence_power(0.5, margin, trials, 0.05, difference=mean))


def test_what_is_simulated_is_the_reports_own_test():
    for study in simulated(6, spread=0.3, mean=0.05, studies=200):
        error = study.std(ddof=1) / np.sqrt(6)
        expected = abs(study.mean()) < 0.3 - stats.t.ppf(0.95, 5) * error
        assert difference.equivalence((study,), 0.3, 0.05).equivalent == expected


def test_the_fewest_trials():
    # Cohen's tables: a standardised effect of 0.5 at 80 % power, two-sided 5 %, needs 34 pairs.
    needed = power.trials_for(lambda n: power.detection_power(1.0, 0.5, n, 0.05), 0.8)
    assert needed == 34
    equal = power.trials_for(lambda n: power.equivalence_power(0.5, 0.25, n, 0.05), 0.95)
    assert power.equivalence_power(0.5, 0.25, equal, 0.05) >= 0.95
    assert power.equivalence_power(0.5, 0.25, equal - 1, 0.05) < 0.95
    assert power.trials_for(lambda n: 0.0, 0.8) is None


def test_the_interval_of_a_spread_holds_it_as_often_as_it_says():
    studies = simulated(5, spread=0.5, mean=1.0, studies=4000)
    held = [low <= 0.5 <= high for low, high in (power.spread_interval(study, 0.05) for study in studies)]
    assert within(float(np.mean(held)), 0.95, 4000)


def test_spread_of_runs_that_err_independently():
    rng = np.random.default_rng(0)
    rates = rng.beta(0.3, 1.5, size=2000)
    found = [power.independent_errors(rng.random((8, 2000)) < rates, images=1200) for _ in range(200)]
    truth = 100 * np.sqrt((rates * (1 - rates)).sum()) / 2000
    assert np.mean([one.predicted for one in found]) == pytest.approx(truth, rel=0.01)
    assert np.sqrt(np.mean([one.measured**2 for one in found])) == pytest.approx(truth, rel=0.05)
    # Two runs, judged on 1,200 images: each on its own, or both on the same.
    wrong = rng.random((4000, 2000)) < rates
    errors = np.array([100 * row[rng.permutation(2000)[:1200]].mean() for row in wrong])
    floor = np.abs(errors[::2] - errors[1::2]).mean()
    assert np.mean([one.own for one in found]) == pytest.approx(floor, rel=0.04)
    chosen = np.array([rng.permutation(2000)[:1200] for _ in range(2000)])
    first, second = (np.take_along_axis(part, chosen, axis=1).mean(axis=1) for part in (wrong[::2], wrong[1::2]))
    floor = 100 * np.abs(first - second).mean()
    assert np.mean([one.same for one in found]) == pytest.approx(floor, rel=0.04)


def test_runs_that_are_the_same_have_no_spread():
    wrong = np.tile(np.arange(10) < 3, (4, 1))
    found = power.independent_errors(wrong, images=10)
    assert found == power.IndependentErrors(0.0, 0.0, 0.0, 0.0)
