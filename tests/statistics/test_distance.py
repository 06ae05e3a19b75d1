"""The distance of functions on predictions whose truth is known."""

import itertools

import numpy as np
import pytest

from hybridsep.statistics import distance
from hybridsep.statistics.distance import Predictions

IMAGES, CLASSES = 60, 3


def drawn(means: np.ndarray, trials: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [means + rng.normal(0, 0.3, means.shape) for _ in range(trials)]


def of(trials, first=0) -> Predictions:
    return Predictions(np.array(list(trials)), np.arange(first, first + len(list(trials))))


def measured(products, first, second, **options) -> distance.Distance:
    unit = distance.squared_distance_of_seeds(products, second)
    given = {"unit": unit, "alpha": 0.05, "resamples": 99, "rng": np.random.default_rng(0)} | options
    return distance.distance(products, first, second, **given)


def test_by_hand():
    # Two runs each of one image and two classes; the runs of a trial share an error, which must not count.
    a, b = [np.array([[1.0, 0.0]]), np.array([[0.8, 0.2]])], [np.array([[0.0, 1.0]]), np.array([[0.2, 0.8]])]
    products = distance.inner_products([*a, *b])
    first, second = of(range(2)), of(range(2), 2)
    # a0.a1 = 0.8, b0.b1 = 0.8, a0.b1 = a1.b0 = 0.2.
    assert distance.squared_distance(products, first, second) == pytest.approx(0.8 + 0.8 - 2 * 0.2)
    assert distance.squared_distance_of_seeds(products, second) == pytest.approx(0.08)


@pytest.mark.parametrize("apart", [0.0, 0.05])
def test_is_unbiased_and_its_interval_covers(apart):
    means = np.random.default_rng(1).normal(0, 1, (IMAGES, CLASSES))
    truth, values, covered = CLASSES * apart**2, [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        products = distance.inner_products([*drawn(means, 6, rng), *drawn(means + apart, 6, rng)])
        found = measured(products, of(range(6)), of(range(6), 6), unit=1.0)
        values.append(found.value)
        covered.append(found.low <= truth <= found.high)
    assert np.mean(values) == pytest.approx(truth, abs=4 * np.std(values) / np.sqrt(300))
    assert np.mean(covered) > 0.9


def test_the_test_rejects_as_often_as_it_may():
    means, p = np.zeros((IMAGES, CLASSES)), []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        products = distance.inner_products([*drawn(means, 10, rng), *drawn(means, 10, rng)])
        p.append(distance.split_test(products, of(range(10)), of(range(10), 10), resamples=99, rng=rng).p)
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.035)
    products = distance.inner_products([*drawn(means, 5, rng), *drawn(means + 1, 5, rng)])
    assert distance.split_test(products, of(range(5)), of(range(5, 10), 5), resamples=99, rng=rng).p == 1 / 126


def test_no_trial_is_used_twice():
    def trials(first, second):
        return tuple(part.trials.tolist() for part in distance.without_common_trials(of(first), of(second)))

    assert trials(range(10), range(10)) == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
    assert trials(range(5), range(10)) == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
    assert trials(range(10), range(5)) == ([5, 6, 7, 8, 9], [0, 1, 2, 3, 4])
    assert trials(range(5), range(5)) == ([0, 1, 2], [3, 4])
    assert trials(range(3), range(10, 13)) == ([0, 1, 2], [10, 11, 12])


def test_many_runs_are_divided_at_random():
    rng = np.random.default_rng(1)
    products = distance.inner_products([*drawn(np.zeros((9, 2)), 20, rng), *drawn(np.ones((9, 2)), 20, rng)])
    found = distance.split_test(products, of(range(20)), of(range(20), 20), resamples=199, rng=rng)
    assert found.p == found.least == 1 / 200 and not found.exact


def test_too_few_runs_have_no_interval_or_no_distance():
    products = distance.inner_products([np.eye(2), np.ones((2, 2)), np.zeros((2, 2)), np.eye(2)])
    result = measured(products, of(range(2)), of(range(2), 2), unit=1.0)
    assert result.value is not None and result.low is None and result.test.p is None
    assert measured(products, of([0]), of(range(2), 2), unit=1.0).value is None
    apart = measured(products, of([0, 1]), of([2, 3], 2), unit=1.0)
    assert apart.value is None and apart.trials == 0 and apart.test.permutations == 3


def test_the_split_test_counts_all_divisions():
    rng = np.random.default_rng(2)
    runs = rng.normal(size=(7, 4))
    products = runs @ runs.T

    def apart(members):
        first, second = np.array(members), np.setdiff1d(np.arange(7), members)
        unlike = products - np.diag(np.diag(products))
        within = sum(unlike[np.ix_(part, part)].sum() / (len(part) * (len(part) - 1)) for part in (first, second))
        return within - 2 * products[np.ix_(first, second)].mean()

    every = np.array([apart(members) for members in itertools.combinations(range(7), 3)])
    test = distance.split_test(products, of(range(3)), of(range(3, 7), 3), resamples=99, rng=rng)
    assert test.permutations == 35 and test.exact and test.least == 1 / 35
    assert test.p == np.mean(every >= every[0] - 1e-12)
