"""What a reader may conclude: no star from too few trials, no paper beside somebody's own data."""

from pathlib import Path

import made_runs as fabricate
import pytest

from hybridsep.report import __main__ as command

ROWS = {"separable": 8.0, "hybrid": 30.0}


def report(results: Path, study: str) -> str:
    assert command.main([f"results={results}", f"study={study}", "report.redraws=1", "report.draw=false"]) == 0
    return (results / "tables" / study / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("trials", "star"), [(2, False), (4, False), (5, True)])
def test_a_star_needs_five_trials_and_ten_pairs(tmp_path, trials, star):
    fabricate.study(tmp_path, "s", ROWS, trials=trials, images=200)
    text = report(tmp_path, "s")
    (cell,) = (line.split("|")[3] for line in text.splitlines() if "Hybrid Hypothesis" in line)
    assert ("*" in cell) == star
    assert ("too few for a range" in text) == ("Too few trials to say" in text) == ("too few trials to tell" in text)
    assert ("too few for a range" in text) != star and ("beyond what the seed" in text) == star


def test_own_data_are_not_held_against_the_paper(tmp_path, capsys):
    fabricate.study(tmp_path, "flowers", ROWS, trials=3, images=200, data="flowers")
    text = report(tmp_path, "flowers")
    printed = capsys.readouterr().out
    for shown in (text, printed):
        for word in ("Paper", "0.12", "trend", "Verdicts", "do not touch", "leaves open"):
            assert word not in shown, word
        # The rows are the paper's, with its names and order.
        assert "Figure 4 on flowers (fabricated): difference in test error" in " ".join(shown.split())
        assert "NOT the paper's experiment, these numbers say nothing about the paper" in " ".join(shown.split())
    assert text.index("| Baseline - Separable Convolution Network |") < text.index("Hybrid Hypothesis")
    assert "points worse than the baseline" in text and not (tmp_path / "tables/flowers/verdicts.csv").exists()


def test_two_tests_that_disagree_are_both_named(tmp_path):
    # Three rows of six trials: the least sign-flip p, 2 / 64, is above 0.05 once it is corrected over them.
    rows = {"separable": 8.0, "hybrid": 30.0, "resnext": 30.0, "inception": 8.0}
    fabricate.study(tmp_path, "s", rows, trials=6, images=200)
    lines = {line.split()[1]: line for line in report(tmp_path, "s").splitlines() if line.startswith("- ")}
    said = "p is 0.094 by permutation, corrected over the rows, and <0.001 by Dunnett's test"
    assert said in lines["Hybrid"] and said in lines["ResNeXt"] and "disagree" not in lines["Inception"]


def test_a_sentence_of_two_tables_stands_once_on_the_page(tmp_path):
    rows = {"separable": 8.0, "hybrid": 9.0, "hybrid_matched": 9.0}
    fabricate.study(tmp_path, "s", rows, trials=2, images=200)
    text = report(tmp_path, "s")
    assert command.main([f"results={tmp_path}", "study=s", "report.redraws=1"]) == 0
    page = (tmp_path / "tables/s/index.html").read_text(encoding="utf-8")
    for sentence in ("The baseline, Separable, is wrong on", "Study s, seed 0."):
        assert (text.count(sentence), page.count(sentence)) == (2, 1)
