"""`make bench-calibration`: simulated tables whose truth is known show methods that hold their level, or do not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scripts.benchmarks import calibration, simulated_tables
from scripts.benchmarks.simulated_tables import ErrorRates, Scenario, Simulated

from hybridsep.report import settings
from hybridsep.statistics import difference

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = replace(settings.load([]).report, resamples=499, groups=999)
STILL = Scenario("no difference", (0.0,) * 5)
MANY = Scenario("many rows", (0.0,) * 12)
MARGIN = Scenario("at the margin", (OPTIONS.margin,) * 5, correlation=0.95)
# Holm's correction leaves a single row as it is, so the level of its test is 5 % and not merely at most that.
ALONE = Scenario("one row at the margin", (OPTIONS.margin,), correlation=0.95)
SIMULATIONS = 120


def measured(scenario: Scenario, *, simulations: int = SIMULATIONS) -> Simulated[ErrorRates]:
    rng = np.random.default_rng(1)
    return simulated_tables.measure(scenario, 10, OPTIONS, simulations=simulations, rng=rng)


def test_the_short_form_repeats(capsys):
    printed = []
    for more in ([], [], ["report.seed=1"]):
        calibration.main(["--simulations", "2", "--rows", "2", "--resamples", "100", *more, "--trials", "6"])
        printed.append(capsys.readouterr().out)
    first, again, other_seed = printed
    assert first == again != other_seed
    assert first.startswith("## How often") and "| 0 in every row | 6 |" in first


@pytest.mark.parametrize("words", [["--trials", "1"], ["--rows", "0"], ["--resamples", "99"]])
def test_wrong_input_is_named(words, capsys):
    with pytest.raises(SystemExit) as ended:
        calibration.main(words)
    assert ended.value.code == 2 and words[0] in capsys.readouterr().err


def test_methods_hold_their_level():
    still, margin = measured(STILL), measured(MARGIN)
    share, error = measured(ALONE, simulations=4 * SIMULATIONS).share(lambda one: one.same)
    assert share == pytest.approx(5, abs=3 * error)
    for covers in (still.share(lambda one: one.covers), still.share(lambda one: one.welch)):
        assert covers.percent == pytest.approx(95, abs=3 * covers.error)
    assert 90 < still.share(lambda one: one.bootstrap).percent < 97
    # The tests reject no more often than they may: 5 %, and 2.5 % for the upper end of the noise floor's range.
    for share, most in (
        (still.share(lambda one: one.rejects), 5),
        (still.share(lambda one: one.family), 5),
        (still.share(lambda one: one.wrong), 5),
        (still.share(lambda one: one.starred), 2.5),
        (margin.share(lambda one: one.same), 5),
        (margin.share(lambda one: one.wrong), 5),
    ):
        assert share.percent <= most + 3 * max(share.error, 0.5)


def test_a_difference_is_found_and_equality_is_shown():
    apart = measured(Scenario("0.5", (0.5,) * 3, correlation=0.9), simulations=10)
    assert apart.share(lambda one: one.rejects) == (100, 0) and apart.share(lambda one: one.wrong) == (0, 0)
    assert apart.share(lambda one: one.family) is None and apart.share(lambda one: one.starred) is None
    equal = measured(Scenario("0", (0.0,) * 3, correlation=0.95), simulations=10)
    assert equal.share(lambda one: one.same).percent > 90


def half_as_wide(samples, alpha):
    found = UNBROKEN["mean_interval"](samples, alpha)
    quarter = (found.high - found.low) / 4
    return replace(found, low=found.mean - quarter, high=found.mean + quarter)


def wider_margin(samples, margin, alpha):
    return UNBROKEN["equivalence"](samples, 1.2 * margin, alpha)


UNBROKEN = {name: getattr(difference, name) for name in ("mean_interval", "equivalence")}


@pytest.mark.parametrize(
    ("method", "broken", "scenario", "simulations", "rate", "level"),
    [
        ("mean_interval", half_as_wide, STILL, 60, lambda one: one.covers, 95),
        ("holm", lambda p_values: list(p_values), MANY, 60, lambda one: one.family, 5),
        ("equivalence", wider_margin, ALONE, 4 * SIMULATIONS, lambda one: one.same, 5),
    ],
)
def test_a_broken_method_is_caught(monkeypatch, method, broken, scenario, simulations, rate, level):
    monkeypatch.setattr(difference, method, broken)
    share, error = measured(scenario, simulations=simulations).share(rate)
    assert abs(share - level) > 3 * error


def test_shares_by_hand():
    def share(*values):
        return Simulated("by hand", 5, values).share(lambda value: value)

    assert share(0.0, 1.0) == (50.0, pytest.approx(50.0))
    assert share(None, 0.2, 0.2) == (20.0, pytest.approx(0.0)) and share(None) is None


def test_pairs_correlate_as_the_scenario_says():
    scenario = Scenario("pairs", (0.0,) * 20, correlation=0.8)
    baseline, rows, images = simulated_tables.draw(scenario, 200, np.random.default_rng(2))
    baseline, rows = baseline + images, rows + images
    assert np.mean([np.corrcoef(row, baseline)[0, 1] for row in rows]) == pytest.approx(0.8, abs=0.05)
    assert np.mean((rows - baseline).std(axis=1, ddof=1)) == pytest.approx(0.4 * np.sqrt(0.4), rel=0.06)


def test_the_document_has_every_truth():
    text = (ROOT / "docs/calibration.md").read_text()
    for scenario in simulated_tables.scenarios(OPTIONS.margin, 5):
        for trials in (5, 10):
            assert text.count(f"| {scenario.name} | {trials} |") == 3, scenario.name
    for truth in simulated_tables.functions(OPTIONS.distance, 5):
        assert f"| {truth.name} | 10 |" in text, truth.name
