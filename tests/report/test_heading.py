"""What is mixed in a study stands in its heading."""

import json
from pathlib import Path

import made_runs as fabricate

from hybridsep.report import __main__ as command

ROWS = {"separable": 8.0, "hybrid": 30.0}


def report(results: Path, study: str) -> str:
    assert command.main([f"results={results}", f"study={study}", "report.redraws=1", "report.draw=false"]) == 0
    return (results / "tables" / study / "report.md").read_text(encoding="utf-8")


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
