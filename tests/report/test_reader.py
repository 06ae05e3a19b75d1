"""What a reader may conclude: no star from too few trials, no paper beside somebody's own data, no unnamed mixture."""

import json
from pathlib import Path

import made_runs as fabricate
import pytest

from hybridsep.report import __main__ as command
from hybridsep.report import render
from hybridsep.report.table import Column, build

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


def test_what_is_mixed_in_a_study_is_named(tmp_path):
    folders = fabricate.study(tmp_path, "m", ROWS, trials=3, images=200)
    text = report(tmp_path, "m")
    assert "differ:" not in text and "Machine: Fabricated CPU, 2 threads." in text
    for folder in folders[:2]:
        record = json.loads((folder / "record.json").read_text())
        record["machine"] |= {"threads": 1, "processor": "Other CPU"}
        record["git"] = {"commit": "0123456789abcdef", "dirty": False}
        if folder == folders[0]:  # it went on with other code
            record["git"]["earlier"] = ["fedcba9876543210"]
        (folder / "record.json").write_text(json.dumps(record))
    text = report(tmp_path, "m")
    for line in (
        "Threads differ: 1 (2 trials), 2 (4 trials).",
        "Machines differ: Fabricated CPU (4 trials), Other CPU (2 trials).",
        "Commits differ: 0123456789 (1 trial), fedcba9876 and 0123456789 (1 trial), unknown (4 trials).",
    ):
        assert line in text


def test_a_row_s_name_is_escaped_in_every_format(tmp_path):
    name = "a&b_{x}<i>"
    fabricate.study(tmp_path, "s", {"separable": 8.0, name: 9.0}, trials=2, images=200)
    assert command.main([f"results={tmp_path}", "study=s", "report.redraws=1"]) == 0
    place = tmp_path / "tables" / "s"
    page = (place / "index.html").read_text()
    assert "a&amp;b_{x}&lt;i&gt;" in page and name not in page
    assert r"a\&b\_\{x\}\textless{}i\textgreater{}" in (place / "report.tex").read_text()
    columns: list[Column[str]] = [Column("Row", lambda line: line, wide=True), Column("N", len)]
    assert r"| a\|b | 3 |" in render.markdown(build("t", "T", columns, ["a|b"]))
