"""The distance of functions in verdicts, the paper's numbers under the null, contrasts: on the committed study."""

import csv
from pathlib import Path

import made_runs
import numpy as np
import pytest

from hybridsep.report import contrasts, folders, null, runset, settings, verdicts
from hybridsep.report.__main__ import main
from hybridsep.report.distances import ANOTHER_FUNCTION, SAME_FUNCTION, UNCLEAR
from hybridsep.statistics import difference, noise
from hybridsep.statistics.difference import Interval

RESULTS = Path(__file__).resolve().parents[2] / "results"
STUDY = "cifar10-jpeg-small-30ep"


@pytest.fixture(scope="module")
def runsets():
    runs, _ = folders.read(RESULTS, [STUDY])
    return runset.split(STUDY, runs, settings.paper(), settings.load([]).report)[0]


@pytest.mark.parametrize(
    ("low", "high", "equal", "function", "outcome"),
    [
        (-0.1, 0.1, True, SAME_FUNCTION, "reproduced"),
        (-0.3, 0.3, False, SAME_FUNCTION, "reproduced"),
        (-0.1, 0.1, True, ANOTHER_FUNCTION, "contradicted"),
        (-0.3, 0.3, False, ANOTHER_FUNCTION, "contradicted"),
        (0.5, 0.9, False, SAME_FUNCTION, "contradicted"),
        (-0.1, 0.1, True, UNCLEAR, "reproduced"),
        (-0.3, 0.3, False, UNCLEAR, "inconclusive"),
        (-0.3, 0.3, False, "", "inconclusive"),
    ],
)
def test_the_distance_decides_where_the_error_cannot(low, high, equal, function, outcome):
    evidence = verdicts.Evidence("", 6, "", Interval(None, low, high), equal, function=function)
    assert verdicts.by_function(evidence, 0.25) == outcome


def test_the_committed_verdicts():
    with open(RESULTS / "tables" / STUDY / "verdicts.csv", encoding="utf-8") as file:
        here = {line["claim"]: line["here"] for line in csv.DictReader(file)}
    assert here["control"] == "reproduced" and here["hybrid"] == "contradicted"
    assert here["nearest"] == here["ordering"] == "reproduced"


def test_the_papers_numbers_under_the_null(runsets):
    [shown] = [table for one in runsets if (table := null.table(one, settings.paper()))]
    lines = {(round(float(line["error"]), 1), line["shared"]): line for line in csv.DictReader(shown.csv.splitlines())}
    six = lines[6.0, "the same"]
    # The share D is measured, 0.397 of what independent errors give.
    assert float(six["absolute_0"]) == pytest.approx(0.0013, abs=1e-4)
    assert float(six["absolute_1"]) == pytest.approx(0.027, abs=1e-3)
    assert float(six["signed_0"]) == pytest.approx(0.68, abs=0.005)
    assert float(six["signed_1"]) == pytest.approx(0.85, abs=0.005)
    assert 5e-5 < float(six["both"]) < 1e-4
    assert float(lines[19.9, "the same"]["share"]) == pytest.approx(12.66, abs=0.01)
    words = " ".join(shown.notes)
    assert f"in study {STUDY} (CIFAR-10 (JPEG copy)) 12.66 %" in words
    assert "improbable" in words and "ordinary" in words and "impossible" not in words and "fabricat" not in words


def test_images_drawn_by_code_say_nothing_of_the_papers_numbers(tmp_path, capsys, monkeypatch):
    made_runs.study(tmp_path, "drawn", {"separable": 8.0, "hybrid": 8.0}, trials=2, images=100)
    assert main(["null", f"results={tmp_path}"]) == 1
    assert "images that are not drawn by code" in capsys.readouterr().err
    data = settings.paper().data
    monkeypatch.setattr(data, "train", 400)
    monkeypatch.setattr(data, "test", 100)
    name, rows = "hybrid_readings", {"separable": 8.0, "hybrid": 8.0}
    made_runs.study(tmp_path, name, rows, trials=2, images=100, data="cifar10-jpeg")
    assert main(["null", f"results={tmp_path}"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    # One row has no number of two rows at once.
    assert f"in study {name}" in shown and "the paper's 0.12 is by chance alone" in shown and "Both" not in shown


def test_the_control_by_error_alone(runsets):
    figure4 = next(one for one in runsets if one.table == "figure4")
    options = settings.load([]).report
    every = {row: np.array([figure4.errors(row)[trial] for trial in range(10)]) for row in figure4.rows}
    tests = {
        row: difference.equivalence((errors - every["separable"],), options.margin, options.alpha)
        for row, errors in every.items()
        if row != "separable"
    }
    apart = difference.absolute(every["separable_equivalent"] - every["separable"])
    assert apart.absolute_mean == pytest.approx(0.07, abs=0.005)
    assert tests["separable_equivalent"].p == pytest.approx(0.047, abs=0.0005)
    # "The same within 0.25" does not stand once it is corrected over the rows, as "different" is.
    corrected = dict(zip(tests, difference.holm([test.p for test in tests.values()]), strict=True))
    assert corrected["separable_equivalent"] == pytest.approx(5 * 0.047, abs=0.0005)


@pytest.mark.parametrize(("size", "low", "high"), [(10, 0.28, 0.82), (5, 0.21, 0.92)])
def test_the_noise_floor_of_the_committed_study(runsets, size, low, high):
    figure4, options = next(one for one in runsets if one.table == "figure4"), settings.load([]).report
    cross = figure4.cross_errors("separable")
    floor = noise.noise_floor(
        cross, same_images=True, size=size, groups=options.groups, alpha=0.05, rng=np.random.default_rng(1)
    )
    assert floor.mean == pytest.approx(0.48, abs=0.005)
    assert (floor.low, floor.high) == pytest.approx((low, high), abs=0.015)


def test_a_narrowed_row_less_the_full_one(runsets):
    options = settings.load([]).report
    pair = contrasts.joined(runsets, ("hybrid_matched", "hybrid"))
    found = contrasts.of_rows(pair, ("hybrid_matched", "hybrid"), options)
    assert found.name == "Hybrid, narrowed less Hybrid" and found.contrast.interval.mean == pytest.approx(1.32, abs=0.1)
    four = ("inception_matched", "inception", "hybrid_matched", "hybrid")
    apart = contrasts.of_rows(contrasts.joined(runsets, four), four, options)
    assert apart.contrast.trials >= 10 and apart.contrast.interval.low > 0
    assert contrasts.joined(runsets, ("hybrid", "nobody")) is None


def test_commands(capsys):
    assert main(["null", f"study={STUDY}", f"results={RESULTS}"]) == 0
    assert "by chance alone" in capsys.readouterr().out
    assert main(["compare", "hybrid", "hybrid_matched", "resnext", f"study={STUDY}", f"results={RESULTS}"]) == 2
    assert "two rows, or four" in capsys.readouterr().err
