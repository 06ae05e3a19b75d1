"""`status --watch` looks again until nothing is left to train."""

import re
import shutil

import made_runs

from hybridsep.report import settings, watch
from hybridsep.report.__main__ import main


def test_watching_ends_when_nothing_is_left_to_train(tmp_path, capsys):
    made_runs.run(tmp_path, "small", "separable", 0, status="running", images=100)
    made_runs.run(tmp_path, "small", "separable", 1, status="diverged", images=100)
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            shutil.rmtree(tmp_path / "runs/small/separable/trial-00")
            made_runs.run(tmp_path, "small", "separable", 0, images=100)
        assert len(looks) < 3

    words = [f"results={tmp_path}", "study=small", "report.trials=2"]
    watch.watch_status(settings.load([*words, "watch=7"]), sleep=sleep)
    assert looks == [7, 7]
    shown = capsys.readouterr().out
    assert shown.count("Study small") == 3 and shown.count("again in 7 s; Ctrl-C ends") == 2
    assert re.findall(r"separable +(\d/\d)", shown) == ["0/2", "0/2", "1/2"]
    assert main(["status", *words, "--watch"]) == 0 and "1/2" in capsys.readouterr().out
