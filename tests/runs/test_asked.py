"""What a study is asked for is written down when a command begins, and `status` lists it."""

import json

import pytest
import wording
from conftest import TINY, cannot_be_written
from refusals import check_refused, refused

from hybridsep.errors import RecordError
from hybridsep.report.__main__ import main
from hybridsep.runs import asked, records


def status_of(capture, results) -> dict[str, list[str]]:
    capture.readouterr()
    assert main([f"results={results}", "status", "study=tiny"]) == 0
    words = [line.split() for line in capture.readouterr().out.splitlines()]
    return {line[0]: line[1:] for line in words if line}


def test_commands_add_to_what_was_asked(tmp_path):
    study = tmp_path / "runs" / "one"
    assert asked.read(study) == {}
    asked.extend(study, {"a": [2, 0]})
    asked.extend(study, {"b": [5], "a": [1]})
    assert asked.read(study) == {"a": [0, 1, 2], "b": [5]}
    written = (study / asked.NAME).stat().st_mtime_ns
    asked.extend(study, {"a": [1]})
    assert (study / asked.NAME).stat().st_mtime_ns == written


@pytest.mark.parametrize("content", ["", "[]", '{"rows": [1]}', '{"rows": {"a": 1.5}}', '{"rows": {"a": ["x"]}}'])
def test_a_damaged_file_is_named_and_kept(tmp_path, capsys, content):
    path = tmp_path / "runs" / "tiny" / asked.NAME
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with refused(str(path.parent), "asked.json", kind=RecordError):
        asked.extend(path.parent, {"a": [1]})
    assert path.read_text() == content
    status = main([f"results={tmp_path}", "status", "study=tiny"])
    check_refused((status, capsys.readouterr().err), "asked.json", program="hybridsep.report")


def test_a_person_may_shrink_it_and_nothing_brings_it_back(tmp_path, capsys):
    study = tmp_path / "runs" / "tiny"
    study.mkdir(parents=True)
    (study / asked.OLD_NAME).write_text('{"rows": {"a": [0, 1, 2, 7], "b": [0]}}')
    assert asked.read(study) == {"a": [0, 1, 2, 7], "b": [0]}
    asked.extend(study, {"a": [3]})
    assert json.loads((study / asked.NAME).read_text()) == {"rows": {"a": "0..3,7", "b": "0"}}
    words = [f"results={tmp_path}", "study=tiny"]
    assert main(["forget", "a=3..9", *words]) == 0 and "a 3,7 no longer asked for" in capsys.readouterr().out
    assert main([*words, "forget", "b"]) == 0
    assert asked.read(study) == {"a": [0, 1, 2]}
    (study / asked.NAME).write_text('{"rows": {"a": ["0", "2..3"]}}')
    assert asked.read(study) == {"a": [0, 2, 3]}
    for wrong, named in (("c", "asked for a"), ("a=5", "0,2..3")):
        status = main([*words, "forget", wrong])
        check_refused((status, capsys.readouterr().err), named, program="hybridsep.report")
    assert asked.read(study) == {"a": [0, 2, 3]}


def test_status_lists_what_was_asked_for_and_no_more(run, tmp_path, capfd):
    results = tmp_path / "results"
    assert run(*TINY, "model=resnext", "trial=0..1")[0] == 0
    lines = status_of(capfd, results)
    assert lines["resnext"][:1] == ["2/2"] and "separable" not in lines and "hybrid" not in lines


def test_rows_that_a_sweep_has_not_reached_are_missing(run, tmp_path, capfd):
    results = tmp_path / "results"
    # Whether the first row's first trial gets a folder is a race; the others are not begun.
    words = ("-m", *TINY, "model=resnext,separable,hybrid", "trial=0..2", "max_minutes=0.0001")
    status, said = run(*words)
    assert status == 75 and wording.jobs(0, 3, stopped=True) in said
    lines = status_of(capfd, results)
    for row in ("separable", "hybrid"):
        assert lines[row][0] == "0/3" and "0..2" in lines[row], lines
    assert lines["resnext"][0] == "0/3" and lines["all"][0] == "0/9" and "trials" in lines["all"], lines
    assert json.loads((results / "runs/tiny/asked.json").read_text())["rows"]["hybrid"] == "0..2"


def test_the_first_failed_trial_ends_a_sweep_that_fails_fast(run, tmp_path):
    results = tmp_path / "results"
    cannot_be_written(results, "resnext", 0)
    words = ("-m", *TINY, "model=resnext,separable", "trial=0..1")
    status, said = run(*words, "fail_fast=true")
    assert status == 1 and wording.trials("failed", "resnext trial-00") in said and wording.jobs(0, 2) in said
    assert not records.run_folder(results, "tiny", "resnext", 1).exists()
    assert not (results / "runs/tiny/separable").exists()
    # Without it the others go on; and the key is not part of what a run is.
    status, said = run(*words)
    assert status == 1 and wording.jobs(1, 2) in said
    (records.run_folder(results, "tiny", "resnext", 0) / "history.csv").rmdir()
    status, said = run(*words, "fail_fast=true")
    assert status == 0 and said.count(wording.ALREADY_FINISHED) == 3 and wording.jobs(2, 2) in said
    assert f"tables: python -m hybridsep.report study=tiny results={results}" in said
    assert f"curves: tensorboard --logdir {results}/runs/tiny" in said
