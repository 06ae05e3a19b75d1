"""How the report ends: files before the terminal, whoever reads it; no room, no permission, another's notebook."""

import os
import subprocess
import sys
from pathlib import Path

import made_runs as fabricate
import pytest

from hybridsep.report import __main__ as command
from hybridsep.report import folders, watch
from hybridsep.report import settings as report_settings
from hybridsep.report.figures import drawing
from hybridsep.runs import records

QUICK = ("report.redraws=1", "report.resamples=99", "report.groups=100")
PLAIN = (*QUICK, "report.draw=false")


@pytest.fixture
def results(tmp_path):
    fabricate.study(tmp_path, "s", {"separable": 8.0, "hybrid": 8.0}, trials=2, images=100)
    return tmp_path


def program(results: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    ask = [sys.executable, "-m", "hybridsep.report", f"results={results}", "study=s", *words]
    return subprocess.run(ask, capture_output=True, text=True, env=os.environ | environment, timeout=120)


def test_a_reader_that_leaves_early_does_not_keep_files_from_being_written(results):
    fabricate.study(results, "t", {"separable": 8.0, "hybrid": 8.0}, trials=2, images=100)
    reader, writer = os.pipe()
    os.close(reader)
    ask = [sys.executable, "-m", "hybridsep.report", f"results={results}", *PLAIN]
    done = subprocess.run(ask, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert all((results / "tables" / study / "report.md").stat().st_size for study in "st")


def test_a_notebook_s_backend_and_an_output_of_ascii_do_not_end_it(results):
    done = program(results, *QUICK, MPLBACKEND="module://not_there.backend", PYTHONIOENCODING="ascii", COLUMNS="0")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "Noise floor" in done.stdout and done.stdout.isascii()
    assert (results / "tables/s/index.html").stat().st_size and (results / "figures/s/figure4-trials.png").exists()


def test_a_title_is_text_and_lacking_letters_are_said_once(results, capsys):
    for path in (results / "runs/s").glob("*/*/record.json"):
        path.write_text(path.read_text().replace("synthetic (fabricated)", "$x_$ \\\\frac 写"))
    assert command.main([f"results={results}", "study=s", *QUICK]) == 0
    assert capsys.readouterr().err == "s: the figures' font has no 写; the tables have them\n"
    assert "$x_$" in (results / "tables/s/report.md").read_text()


def test_tables_do_not_depend_on_figures(results, capsys, monkeypatch):
    monkeypatch.setattr(drawing, "draw", lambda figure, caption: 1 / 0)
    assert command.main([f"results={results}", "study=s", *QUICK]) == 0
    assert "figure figure4-trials is not drawn: ZeroDivisionError" in capsys.readouterr().err
    assert (results / "tables/s/figure4.csv").exists() and (results / "tables/s/index.html").exists()


@pytest.mark.parametrize("words", [("study=s", *PLAIN), ("compare", "hybrid", "separable", "study=s")])
def test_what_cannot_be_written_is_one_line_and_the_old_report_stays(results, capsys, monkeypatch, words):
    assert command.main([f"results={results}", "study=s", *PLAIN]) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in (results / "tables").rglob("*") if path.is_file()}
    written = []

    def full(path: Path, content: bytes) -> None:
        if len(written) == 3 or words[0] == "compare":
            raise OSError(28, "No space left on device")
        written.append(path)
        path.touch()

    monkeypatch.setattr(Path, "write_bytes", full)
    if words[0] == "compare":
        monkeypatch.setattr("hybridsep.report.pair.dataset", lambda *_: None)
        monkeypatch.setattr("hybridsep.report.pair.picture", lambda *_: b"picture")
    assert command.main([f"results={results}", *words, "report.margin=3"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"results={results} cannot be written (No space left on device)" in error
    monkeypatch.undo()
    assert before == {path: path.read_bytes() for path in (results / "tables").rglob("*") if path.is_file()}
    assert not list(results.rglob(f"{records.TEMPORARY}*"))


def test_a_second_look_unpacks_only_what_has_changed(results, monkeypatch, capsys):
    for trial in (2, 3):
        fabricate.run(results, "s", "hybrid", trial, images=100, status="running")
    unpacked = []
    whole = records.read_predictions
    monkeypatch.setattr(records, "read_predictions", lambda folder: unpacked.append(folder) or whole(folder))
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(len(unpacked))
        if len(looks) == 1:  # one ends between the first look and the second
            folder = results / "runs/s/hybrid/trial-02"
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            fabricate.run(results, "s", "hybrid", 2, images=100)
        if len(looks) == 3:
            raise KeyboardInterrupt

    watch.watch_status(report_settings.load([f"results={results}", "study=s"]), sleep=sleep)
    assert looks == [4, 5, 5] and unpacked[-1] == results / "runs/s/hybrid/trial-02"
    assert "3/" in capsys.readouterr().out
    assert folders.read(results, ["s"])[1] == []


def test_committed_studies_are_left_alone_unless_they_are_named(tmp_path, capsys):
    results = tmp_path / "results"
    for name in ("theirs", "mine"):
        fabricate.study(results, name, {"separable": 8.0, "resnext": 9.0}, trials=2, images=100)
    for command_line in (["init", "-q"], ["add", "results/runs/theirs"]):
        subprocess.run(["git", "-C", str(tmp_path), *command_line], check=True)
    assert command.main([f"results={results}", "report.draw=false", "report.redraws=1"]) == 0
    assert "as git tracks them: theirs;" in capsys.readouterr().err
    assert [path.name for path in (results / "tables").iterdir()] == ["mine"]
    assert command.main([f"results={results}", "study=all", "report.draw=false", "report.redraws=1"]) == 0
    assert (results / "tables/theirs/report.md").is_file()
