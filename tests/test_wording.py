"""The words that a user reads after a command line that cannot be meant: all of them, in tests/wording.txt."""

import re
import shlex
import shutil
from pathlib import Path

import made_runs
import pytest
from conftest import TINY
from typed_commands import typed

from hybridsep.bench.__main__ import main as bench
from hybridsep.equivalence.__main__ import main as equivalence
from hybridsep.report.__main__ import main as report

OTHERS = {"report": report, "bench": bench, "equivalence": equivalence}


def transcript() -> list[tuple[str, str]]:
    """Return `(command line, answer)` for each two lines of wording.txt."""
    lines = (Path(__file__).parent / "wording.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    assert all(line.startswith("$ ") for line in lines[::2]) and len(lines) % 2 == 0
    return [(command.removeprefix("$ "), answer) for command, answer in zip(lines[::2], lines[1::2], strict=True)]


def files(place: Path) -> set[Path]:
    return {path for path in place.rglob("*") if path.suffix != ".lock"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with results of the study `s`, one trial of two rows, and a CSV of everybody's."""
    place = tmp_path_factory.mktemp("study")
    made_runs.study(place / "results", "s", {"separable": 8.0, "resnext": 9.0}, trials=1, images=100)
    (place / "there.csv").write_text("row,trial,error\na,0,1\nb,0,2\n")
    return place


@pytest.mark.parametrize(("command", "answer"), transcript(), ids=[command for command, _ in transcript()])
def test_a_command_line_that_cannot_be_meant(command, answer, study, run, tmp_path, monkeypatch, capfd):
    program, *words = shlex.split(command)
    if program == "report":
        shutil.copytree(study, tmp_path, dirs_exist_ok=True)
    before = files(tmp_path)
    monkeypatch.chdir(tmp_path)
    if words[0] == "$TINY":  # refused by what prepares a training
        status, said = run(*TINY, *words[1:])
    elif program == "run":
        status, said = typed(words, tmp_path)
    else:
        status = OTHERS[program](words)
        said = capfd.readouterr().err
    assert status == 2, said
    line = f"hybridsep: {answer}\n" if program == "run" else f"hybridsep.{program}: {answer}\n"
    assert re.fullmatch(".*".join(map(re.escape, line.split("…"))), said), said
    assert files(tmp_path) == before
