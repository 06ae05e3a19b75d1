"""Differences of differences, on the committed study."""

import pytest

from hybridsep.report import contrasts, settings


def test_a_narrowed_row_less_the_full_one(committed):
    options = settings.load([]).report
    pair = contrasts.joined(committed, ("hybrid_matched", "hybrid"))
    found = contrasts.of_rows(pair, ("hybrid_matched", "hybrid"), options)
    assert found.name == "Hybrid, narrowed less Hybrid" and found.contrast.interval.mean == pytest.approx(1.32, abs=0.1)
    four = ("inception_matched", "inception", "hybrid_matched", "hybrid")
    apart = contrasts.of_rows(contrasts.joined(committed, four), four, options)
    assert apart.contrast.trials >= 10 and apart.contrast.interval.low > 0
    assert contrasts.joined(committed, ("hybrid", "nobody")) is None
