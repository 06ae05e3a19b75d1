"""Tests of a claim are corrected over its comparisons, and what was chosen after the trials were begun says so."""

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import made_runs
import numpy as np
import pytest
from scipy import stats

from hybridsep.report import settings, verdicts
from hybridsep.report.__main__ import main
from hybridsep.report.settings import Claim

RESULTS = Path(__file__).resolve().parents[2] / "results"
OPTIONS = settings.load([]).report
# Of ten trials, mean 0, standard deviation 1.
UNIT = stats.zscore(np.arange(10.0), ddof=1)
ROWS = ("a", "b", "c")


def outcomes(rule: str, differences: np.ndarray, rows: tuple[str, ...], **claim) -> list[str]:
    """What a rule says of the first of `rows`, or of all one by one, whose counterparts err so much more."""
    errors = {row: np.zeros(10) for row in rows} | {f"{row}_other": differences for row in rows}
    runset = SimpleNamespace(
        rows=list(errors), label=str, errors=lambda row: dict(enumerate(errors[row].tolist())), baseline=""
    )
    against = [f"{row}_other" for row in rows]
    these = list(rows) if rule == "same_error" else [rows[0]]
    case = verdicts.Case(
        Claim(where="", says="", table="t", rule=rule, rows=these, against=against, **claim),
        {"t": (runset, None)},
        None,
        OPTIONS,
    )
    return [verdicts.RULES[rule].outcome(one, case.margin) for one in verdicts.RULES[rule].compare(case)]


def test_equality_at_a_claims_own_margin_is_corrected_over_its_comparisons():
    # One of the two one-sided tests has p 0.03, the other nearly 0.
    margin = 1.0
    mean = margin - stats.t.isf(0.03, 9) * 0.1 / np.sqrt(10)
    differences = mean + 0.1 * UNIT
    assert outcomes("same_error", differences, ("a",), margin=margin) == ["reproduced"]
    assert outcomes("same_error", differences, ROWS, margin=margin) == ["inconclusive"] * 3


@pytest.mark.parametrize(("sign", "alone"), [(1, "reproduced"), (-1, "contradicted")])
def test_intervals_of_a_claim_hold_together(sign, alone):
    # The two-sided p is 0.03: the 95 % interval excludes 0, that of 98.3 % does not.
    differences = sign * (stats.t.isf(0.015, 9) / np.sqrt(10) + UNIT)
    assert outcomes("lower_error", differences, ("a",)) == [alone]
    assert outcomes("lower_error", differences, ROWS) == ["inconclusive"] * 3


def exploratory(results: Path, study: str) -> dict[str, str]:
    with open(results / "tables" / study / "verdicts.csv", encoding="utf-8") as file:
        return {line["claim"]: line["exploratory"] for line in csv.DictReader(file)}


def test_the_committed_verdicts_by_the_distance_are_exploratory():
    marked = exploratory(RESULTS, "cifar10-jpeg-small-30ep")
    assert {claim for claim, value in marked.items() if value == "true"} == {
        f"{claim}{table}" for claim in ("hybrid", "control", "others", "nearest") for table in ("", "_equal_parameters")
    }
    page = (RESULTS / "tables/cifar10-jpeg-small-30ep/report.md").read_text()
    assert "limit were chosen after these trials (declared 2026-11-26T14:" in page
    assert "contradicted (exploratory)" in page and "Hybrid: trials 0..9" in page


@pytest.mark.parametrize(
    ("begun", "marked"), [("2026-11-26T14:20:33+00:00", "true"), ("2026-11-26T14:20:35+00:00", "false")]
)
def test_trials_begun_after_the_declaration_are_not_exploratory(tmp_path, monkeypatch, begun, marked):
    monkeypatch.setattr(made_runs, "WHEN", begun)
    rows = {"separable": 9.0, "hybrid": 8.0, "resnext": 8.4}
    made_runs.study(tmp_path, "s", rows, trials=3, images=200, experiment="figure4", data="cifar10-jpeg")
    words = ["report.draw=false", "report.redraws=1", "report.groups=100", "report.resamples=99", "report.subset=all"]
    data = settings.paper().data
    made_runs.paper(monkeypatch, data=replace(data, train=1000, test=200))
    assert main([f"results={tmp_path}", "study=s", *words]) == 0
    assert exploratory(tmp_path, "s")["hybrid"] == marked
    assert ("Exploratory" in (tmp_path / "tables/s/report.md").read_text()) == (marked == "true")
