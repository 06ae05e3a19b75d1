"""Two networks that differ in chance only: exact probabilities against all outcomes, and against draws."""

import itertools

import numpy as np
import pytest

from hybridsep.statistics import null


def test_all_outcomes_of_few_images():
    share, images, trials = 0.4, 3, 2
    weights = {1: share / 2, -1: share / 2, 0: 1 - share}
    absolute, signed = np.zeros(7), np.zeros(7)
    for signs in itertools.product(weights, repeat=images * trials):
        chance = np.prod([weights[sign] for sign in signs])
        parts = np.array(signs).reshape(trials, images).sum(axis=1)
        absolute[abs(parts).sum()] += chance
        signed[abs(parts.sum())] += chance
    for limit in range(6):
        found = null.probability(share, images=images, trials=trials, limit=limit)
        assert found.mean_absolute == pytest.approx(absolute[: limit + 1].sum())
        assert found.absolute_mean == pytest.approx(signed[: limit + 1].sum())


def test_two_rows_share_their_baseline():
    rng, images, share, draws = np.random.default_rng(0), 400, 0.1, 40_000
    # Of every image one of three networks may part from the other two: the baseline, the one row, the other row.
    parts = rng.multinomial(images, [share / 2] * 3 + [1 - 1.5 * share], size=draws)[:, :3]
    gains = 2 * rng.binomial(parts, 0.5) - parts
    first, second = gains[:, 0] + gains[:, 1], gains[:, 0] + gains[:, 2]
    expected = np.mean((abs(first) <= 4) & (abs(second) <= 6))
    found = null.both(share, images=images, trials=1, limits=(4, 6))
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected / draws))
    apart = [null.probability(share, images=images, trials=1, limit=limit).mean_absolute for limit in (4, 6)]
    assert found > apart[0] * apart[1]


def test_both_is_over_all_trials():
    one = null.both(0.2, images=50, trials=1, limits=(0, 0))
    assert null.both(0.2, images=50, trials=3, limits=(0, 0)) == pytest.approx(one**3)


def test_discordance_by_hand():
    wrong = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]], dtype=bool)
    found = null.discordance(wrong)
    # Pairs part on 2, 1 and 1 of four images; five of twelve are wrong.
    assert found.share == pytest.approx(4 / 12) and found.error == pytest.approx(5 / 12) and found.pairs == 3
    assert found.relative == pytest.approx((4 / 12) / (2 * 5 / 12 * 7 / 12))
    assert null.discordance(wrong[:1]) is None


@pytest.mark.parametrize(("points", "decimals", "most"), [(0.08, 2, 51), (0.12, 2, 75), (0.0, 2, 3), (0.1, 1, 90)])
def test_what_a_printed_number_holds(points, decimals, most):
    assert null.images_at_most(points, images=6000, trials=10, decimals=decimals) == most
