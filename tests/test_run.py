"""The command from end to end: a study, its records, skipping, resuming, refusing, and what a user reads."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import wording
from conftest import TINY
from made_runs import read_record
from refusals import check_refused

from hybridsep.runs import records
from hybridsep.runs.records import read_history, read_predictions

ROWS = "separable,inception,resnext,reformulated_inception,separable_equivalent,hybrid"


def folders(place: Path) -> list[str]:
    return ["/".join(path.parts[-2:]) for path in records.find(place)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["network"]


def test_a_study_of_six_rows_from_training_to_its_table(run, tmp_path):
    status, said = run("experiment=quick", *TINY, "trial=0..1", "schedule.epochs=1")
    assert status == 0, said
    place = tmp_path / "results"
    assert len(folders(place)) == 12
    assert "(trial 12 of 12)" in said
    report = subprocess.run(
        [sys.executable, "-m", "hybridsep.report", f"results={place}", "study=tiny"], capture_output=True, text=True
    )
    assert report.returncode == 0, report.stderr
    table = (place / "tables/tiny/report.md").read_text().split('<a id="figure4"></a>')[1].split("<a id=")[0]
    titles = ("Baseline", "Inception Modules", "ResNeXt Modules", "Re-formulated", "Equivalent", "Hybrid Hypothesis")
    assert all(title in table for title in titles) and table.count("2/2") == 6
    assert "Figure 4" in report.stdout and "say nothing about the paper" in report.stdout
    tables = {path.suffix for path in (place / "tables" / "tiny").iterdir()}
    assert {".md", ".csv", ".tex"} <= tables
    assert {".png", ".svg"} <= {path.suffix for path in (place / "figures" / "tiny").iterdir()}


def test_records_say_what_was_done(run, tmp_path):
    assert run(*TINY, "model=resnext", "trial=3")[0] == 0
    folder = tmp_path / "results/runs/tiny/resnext/trial-03"
    record = read_record(folder)
    assert (record["status"], record["trial"], record["result"]["epochs"]) == ("finished", 3, 2)
    assert record["dataset"]["train"] == 192 and len(record["dataset"]["sha256"]) == 64
    assert record["config"]["evaluation"]["images"] == 60
    assert record["model"]["params"] > 0 and record["machine"]["threads"] == 1
    assert record["versions"]["torch"].startswith("2.")
    logits, labels = read_predictions(folder)
    assert logits.shape == (100, 10) and labels.shape == (100,)
    error = 100 * (logits.argmax(1) != labels).mean()
    assert error == pytest.approx(record["result"]["test_error_all"], abs=1.01)
    history = read_history(folder)
    assert list(history["epoch"]) == [1, 2]
    assert history["test_error"].iloc[-1] == pytest.approx(record["result"]["test_error_all"])


def test_a_finished_trial_is_skipped_and_another_configuration_refused(run, tmp_path):
    assert run(*TINY, "schedule.epochs=1")[0] == 0
    folder = tmp_path / "results/runs/tiny/separable/trial-00"
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    status, said = run(*TINY, "schedule.epochs=1")
    assert status == 0 and f"{wording.ALREADY_FINISHED}, 1 epochs" in said
    check_refused(run(*TINY, "schedule.epochs=2"), "schedule.epochs 1 -> 2")
    check_refused(run(*TINY, "schedule.epochs=1", "data.source.seed=1"), "data.source.seed 0 -> 1")
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_time_limit_ends_cleanly_and_the_same_command_ends_with_the_same_bits(run, tmp_path):
    parts, whole = str(tmp_path / "parts"), str(tmp_path / "whole")
    arguments = (*TINY, "schedule.epochs=3", "size.dropout=0.1")
    status, said = run(*arguments, "max_minutes=0.000001", results=parts)
    assert status == 75 and wording.stopped("epoch 0", "max_minutes") in said
    place = Path(parts) / "runs/tiny/separable/trial-00"
    assert read_record(place)["status"] == "interrupted"
    assert run(*arguments, results=parts)[0] == 0
    assert run(*arguments, results=whole)[0] == 0
    expected = Path(whole) / "runs/tiny/separable/trial-00"
    assert (place / "predictions.npz").read_bytes() == (expected / "predictions.npz").read_bytes()
    one, other = weights(place), weights(expected)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_trial_that_goes_on_with_other_code_says_so_and_names_both(run, tmp_path):
    arguments = (*TINY, "schedule.epochs=3")
    assert run(*arguments, "max_minutes=0.000001")[0] == 75
    folder = tmp_path / "results/runs/tiny/separable/trial-00"
    record = json.loads((folder / "record.json").read_text())
    old = "f" * 40
    (folder / "record.json").write_text(json.dumps({**record, "git": {"commit": old, "dirty": False}}))
    status, said = run(*arguments)
    assert status == 0 and f"goes on with commit {old[:10]} -> " in said, said
    found = read_record(folder)
    assert found["git"]["earlier"] == [old] and found["git"]["commit"] == record["git"]["commit"]


def test_trials_differ_and_rows_of_one_trial_share_their_start(run, tmp_path):
    assert run("-m", *TINY, "model=separable,separable_equivalent", "trial=0..1", "schedule.epochs=1")[0] == 0
    place = tmp_path / "results/runs/tiny"
    first, second = (read_predictions(place / "separable" / f"trial-0{trial}")[0] for trial in (0, 1))
    assert not np.array_equal(first, second)
    # The equivalent form starts as the same function on the same images, so one short epoch leaves it close.
    same = read_predictions(place / "separable_equivalent/trial-00")[0]
    assert np.abs(same.astype(float) - first).mean() < 0.1 * np.abs(second.astype(float) - first).mean()


def test_help_and_show_only(run):
    for flag, words in (("--help", b"trial=0..9"), ("--cfg=job", b"learning_rate")):
        shown = subprocess.run([sys.executable, "-m", "hybridsep.run", flag], capture_output=True, check=True)
        assert words in shown.stdout
