"""Rows against networks of another form with as many parameters (docs/declared.md), and what was begun when."""

import csv
from pathlib import Path

import made_runs
import pytest

from hybridsep.report import contrasts, pairs, settings
from hybridsep.report.__main__ import main
from hybridsep.statistics.contrast import Contrast
from hybridsep.statistics.difference import Equivalence, Interval, PermutationTest

ROOT = Path(__file__).resolve().parents[2]


def made(tmp_path, trials: int, widened: float = 7.0) -> tuple[list[dict[str, str]], str]:
    rows = {"separable": 9.0, "hybrid": 8.0, "resnext": 8.4, "separable_68k": widened}
    for name, error in rows.items():
        for trial in range(trials):
            # Counts that a person can check: of 500 images the hybrid gets one more wrong in every odd trial.
            more = 0.2 * (trial % 2) if name == "hybrid" else 0.0
            made_runs.run(tmp_path, "s", name, trial, error=error + more, index=list(rows).index(name))
    assert main([f"results={tmp_path}", "study=s", "report.draw=false", "report.redraws=1"]) == 0
    with open(tmp_path / "tables/s/widened-pairs.csv") as file:
        return list(csv.DictReader(file)), (tmp_path / "tables/s/report.md").read_text()


def test_a_row_is_held_against_the_widened_baseline(tmp_path):
    lines, page = made(tmp_path, 6)
    # ResNeXt's partner was not trained, so that pair is not there.
    assert [line["rows"] for line in lines] == ["hybrid separable_68k"]
    line = lines[0]
    assert (line["n"], line["state"]) == ("6", "preliminary")
    assert [float(line[key]) for key in ("mean", "low", "high")] == pytest.approx([1.1, 0.98504, 1.21496], abs=1e-4)
    assert float(line["equivalence_p_holm"]) > 0.999 and float(line["distance"]) > 0
    # Better than the baseline by so many points each; their difference is that of the pair.
    assert [float(line[f"{which}_gain"]) for which in ("first", "second")] == pytest.approx([0.9, 2.0])
    assert "Preliminary: 6 of 10 trials (Hybrid less Separable 68k)." in page
    with open(tmp_path / "tables/s/widened-distance.csv") as file:
        of_widened = next(one for one in csv.DictReader(file) if one["row"] == "separable_68k")
    assert line["second_distance"] == of_widened["distance"]
    # The made runs are of a day before the analysis was declared.
    assert "Separable 68k: trials 0..5 were begun before, and do not confirm." in page


@pytest.mark.parametrize(
    ("mean", "p", "p_apart", "said"),
    [
        (-0.5, 0.049, 0.5, "better: its form counts"),
        (0.5, 0.049, 0.01, "worse: its form counts"),
        (0.5, 0.051, 0.01, "another function of the same quality"),
        (0.5, 0.051, 0.06, "its gain in Figure 4 is one of parameters"),
    ],
)
def test_a_pair_is_judged_in_the_words_of_its_declaration(mean, p, p_apart, said):
    outcomes = settings.paper().tables["widened"].outcomes
    contrast = Contrast(10, Interval(mean, None, None), PermutationTest(None, None, None, 0), Equivalence(None, None))
    assert pairs._outcome(contrasts.Named("", (), contrast), p, p_apart, outcomes, 0.05) == said
    declared = " ".join((ROOT / "docs/declared.md").read_text().split())
    assert said.split(": ")[-1] in declared


@pytest.mark.parametrize(("trials", "state"), [(3, "says nothing yet"), (9, "preliminary"), (10, "complete")])
def test_what_may_be_said_depends_on_the_trials_that_were_declared(tmp_path, capsys, trials, state):
    lines, page = made(tmp_path, trials)
    # As wide as tables get: pairs, stars, the least p of ten trials.
    shown = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("Written")]
    assert max(map(len, shown)) <= 100
    assert lines[0]["state"] == state
    says = {"complete": "worse: its form counts", "preliminary": "worse: its form counts (preliminary)"}
    assert lines[0]["says"] == says.get(state, state)
    named = f"{state[0].upper()}{state[1:]}: {trials} of 10 trials (Hybrid less Separable 68k)."
    assert (named in page) == (trials < 10)


@pytest.mark.parametrize(("widened", "by_limit"), [(7.0, True), (40.0, False)])
def test_tests_declared_before_their_trials_confirm_and_a_later_limit_does_not(
    tmp_path, monkeypatch, widened, by_limit
):
    # Begun after the declaration of the table, and before the limit of the distance was chosen.
    monkeypatch.setattr(made_runs, "WHEN", "2026-11-26T14:00:00+00:00")
    page = made(tmp_path, 10, widened)[1]
    assert "Every trial of the table's own rows was begun after that." in page
    of_widened = page.split('<a id="widened-distance">')[1].split("<a id=")[0]
    assert ("another function |" in of_widened) != by_limit
    assert ("Exploratory: the limit of the distance was chosen after these trials" in of_widened) == by_limit
    assert "Exploratory: the tests" in page.split('<a id="figure4-distance">')[1].split("<a id=")[0]
