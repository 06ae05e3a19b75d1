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
