"""All rows against one baseline, contrasts and machines, on numbers whose answer is known."""

import numpy as np
import pytest
from scipy import stats

from hybridsep.statistics import contrast, machines, many_to_one


def test_one_row_is_a_t_test():
    row, baseline = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 3.0, 3.0])
    [found] = many_to_one.many_to_one([row], baseline, margin=0.5, alpha=0.05)
    test = stats.ttest_ind(row, baseline)
    interval = test.confidence_interval()
    assert (found.mean, found.low, found.high) == pytest.approx((-1.0, interval.low, interval.high))
    assert found.p == pytest.approx(test.pvalue, abs=1e-4) and found.df == 5
    assert found.better == pytest.approx(stats.t.cdf((0.5) / (1 / abs(test.statistic)), 5))


def test_critical_value_is_that_of_dunnetts_table():
    # Dunnett 1955, two-sided 5 %, five treatments of ten observations beside a control: 2.66 at 40 df, 2.58 at 120 df.
    assert many_to_one.critical_value((10,) * 5, 10, 0.05) == pytest.approx(2.61, abs=0.02)


def test_rows_that_cannot_take_part():
    rows = [np.array([1.0]), np.array([1.0, 2.0])]
    first, second = many_to_one.many_to_one(rows, np.array([1.0, 1.5]), margin=0.25, alpha=0.05)
    assert first is None and second is not None
    assert many_to_one.many_to_one(rows, np.array([1.0]), margin=0.25, alpha=0.05) == [None, None]
    assert many_to_one.many_to_one([np.ones(3)], np.ones(3), margin=0.25, alpha=0.05) == [None]


def test_a_difference_of_differences():
    errors = np.array([[4.0, 5.0, 6.0], [1.0, 1.0, 1.0], [3.0, 3.0, 3.0], [2.0, 1.0, 2.0]])
    options = {"alpha": 0.05, "margin": 0.25, "resamples": 99, "rng": np.random.default_rng(0)}
    found = contrast.contrast(errors, (1, -1, -1, 1), **options)
    # 3 - 1, 4 - 2 and 5 - 1.
    assert found.trials == 3 and found.interval.mean == pytest.approx(8 / 3)
    assert found.interval.p == pytest.approx(stats.ttest_1samp([2.0, 2.0, 4.0], 0).pvalue)


def test_a_machine_is_told_from_a_row():
    rows, machine = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 1, 0, 0, 1])
    errors = 10.0 + 5 * rows + 0.5 * machine + np.array([0.01, -0.01, 0.01, 0.0, -0.01, 0.0])
    [effect] = machines.machine_effects(errors, rows, machine)
    assert effect.machine == 1 and effect.mean == pytest.approx(0.5, abs=0.02) and effect.df == 3 and effect.p < 0.001
    same = machines.adjusted(errors, machine, [effect])
    assert same == pytest.approx(10.0 + 5 * rows, abs=0.03)
    # One row on each machine: what is the machine's and what the row's cannot be told.
    assert machines.machine_effects(errors, rows, rows) == [] == machines.machine_effects(errors, rows, 0 * rows)
