"""The paper's numbers under the null hypothesis, on the committed study."""

import csv
from dataclasses import replace
from pathlib import Path

import made_runs
import pytest

from hybridsep.report import null, settings
from hybridsep.report.__main__ import main

RESULTS = Path(__file__).resolve().parents[2] / "results"
STUDY = "cifar10-jpeg-small-30ep"


def test_the_papers_numbers_under_the_null(committed):
    [(one, found)] = [(one, found) for one in committed if (found := null.measure(one, settings.paper()))]
    shown = null.table(one, found)
    lines = {(round(float(line["error"]), 1), line["shared"]): line for line in csv.DictReader(shown.csv.splitlines())}
    six = lines[6.0, "the same"]
    # The share D is measured, 0.397 of what independent errors give.
    assert float(six["absolute_0"]) == pytest.approx(0.0013, abs=1e-4)
    assert float(six["absolute_1"]) == pytest.approx(0.027, abs=1e-3)
    assert float(six["signed_0"]) == pytest.approx(0.68, abs=0.005)
    assert float(six["signed_1"]) == pytest.approx(0.85, abs=0.005)
    assert 5e-5 < float(six["both"]) < 1e-4
    assert float(lines[19.9, "the same"]["share"]) == pytest.approx(12.66, abs=0.01)
    # From 4.3 to 10 % error, in a sentence for those who read no table.
    tried = [line for line in lines.values() if line["shared"] == "the same" and float(line["error"]) < 11]
    least, most = (function(float(line["absolute_1"]) for line in tried) for function in (min, max))
    said = null.sentence(found)
    assert f"0.12 or less with a probability of {least:.2g} to {most:.2g} as a mean of |d|" in said
    words = " ".join([*shown.notes, said])
    assert f"in study {STUDY} (CIFAR-10 (JPEG copy)) 12.66 %" in words
    assert "improbable" in words and "ordinary" in words and "impossible" not in words and "fabricat" not in words


def test_images_drawn_by_code_say_nothing_of_the_papers_numbers(tmp_path, capsys, monkeypatch):
    made_runs.study(tmp_path, "drawn", {"separable": 8.0, "hybrid": 8.0}, trials=2, images=100)
    assert main(["null", f"results={tmp_path}"]) == 1
    assert "images that are not drawn by code" in capsys.readouterr().err
    data = settings.paper().data
    made_runs.paper(monkeypatch, data=replace(data, train=400, test=100))
    name, rows = "hybrid_readings", {"separable": 8.0, "hybrid": 8.0}
    made_runs.study(tmp_path, name, rows, trials=2, images=100, data="cifar10-jpeg")
    assert main(["null", f"results={tmp_path}"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    # One row has no number of two rows at once.
    assert f"in study {name}" in shown and "the paper's 0.12 is by chance alone" in shown and "Both" not in shown


def test_commands(capsys):
    assert main(["null", f"study={STUDY}", f"results={RESULTS}"]) == 0
    assert "by chance alone" in capsys.readouterr().out
