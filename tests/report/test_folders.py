"""What can be wrong with run folders and command lines: each is named, and the rest of the report still comes."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import made_runs as fabricate
import numpy as np
import pytest
from hostile import cases, json_values
from hypothesis import given
from hypothesis import strategies as st
from made_runs import read_record
from rich.console import Console

from hybridsep.config.identity import identity
from hybridsep.report import __main__ as command
from hybridsep.report import document, folders, output, status, terminal
from hybridsep.report import settings as report_settings
from hybridsep.runs import records

QUICK = ("report.redraws=1", "report.resamples=99", "report.groups=100", "report.draw=false")
ROWS = {"separable": 8.0, "resnext": 9.0, "hybrid": 8.0}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    results = tmp_path_factory.mktemp("original")
    fabricate.study(results, "one", ROWS, trials=3, images=200)
    return results


@pytest.fixture
def results(original, tmp_path):
    shutil.copytree(original, tmp_path / "results")
    return tmp_path / "results"


def edit(folder: Path, change: Callable[[dict], None]) -> None:
    record = json.loads((folder / "record.json").read_text())
    change(record)
    (folder / "record.json").write_text(json.dumps(record))


def set_key(key: str, value: object) -> Callable[[Path], None]:
    *above, last = key.split(".")

    def change(record: dict) -> None:
        for part in above:
            record = record[part]
        record[last] = value

    return lambda folder: edit(folder, change)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def hand_edit(key: str, value: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder, lambda record: record["result"].update({key: value}))


def other_labels(folder: Path) -> None:
    logits, labels = records.read_predictions(folder)
    swapped = labels.copy()
    wrong = np.flatnonzero(logits.argmax(1) != labels)[:2]
    swapped[wrong] = (labels[wrong] + 5) % 10
    (folder / "predictions.npz").write_bytes(records.predictions_bytes(logits, swapped))


def not_numbers(folder: Path) -> None:
    logits, labels = records.read_predictions(folder)
    logits[3, 3] = np.nan
    np.savez(folder / "predictions.npz", logits=logits, labels=labels)
    (folder / "predictions.npz").touch()


def other_configuration(folder: Path) -> None:
    edit(folder, lambda record: record["config"]["schedule"].update(learning_rate=0.2))


DAMAGE = {
    "empty folder": (lambda folder: [path.unlink() for path in folder.iterdir()], "no record.json"),
    "record cut": (lambda folder: cut(folder / "record.json"), "record.json cannot be read"),
    "record is a list": (lambda folder: (folder / "record.json").write_text("[]"), "not of format"),
    "no predictions": (lambda folder: (folder / "predictions.npz").unlink(), "no predictions.npz"),
    "predictions cut": (lambda folder: cut(folder / "predictions.npz"), "predictions.npz cannot be read"),
    "logits not numbers": (not_numbers, "not numbers"),
    "other labels": (other_labels, "other test labels"),
    "error edited": (hand_edit("test_error", 1.0), "one of them was changed"),
    "error not a number": (hand_edit("test_error_all", float("nan")), "NaN"),
    "error out of range": (hand_edit("test_error_all", 160.0), "result.test_error_all: Input should be less"),
    "error is text": (hand_edit("test_error", "6.0"), "result.test_error: "),
    "epochs edited": (hand_edit("epochs", 3), "3 of 4 epochs"),
    "configuration edited": (other_configuration, "changed by hand"),
    "no result": (lambda folder: edit(folder, lambda record: record.update(result=None)), "no result"),
    "no dataset size": (lambda folder: edit(folder, lambda record: record["dataset"].pop("test")), "test"),
    "no schedule": (lambda folder: edit(folder, lambda record: record["config"].pop("schedule")), "schedule"),
    **{
        f"{key} = {value}": (set_key(key, value), "no valid " + key.removeprefix("config.").split(".")[0])
        for key, value in {
            "model.params": "4.7k",
            "model.macs": [],
            "timings.trials_at_once": "2",
            "timings.train_images_per_second": 10**30,
            "result.best_test_error_all": "88.0",
            "dataset.name": ["synthetic"],
            "dataset.classes": "0123456789",
            "git.commit": 7,
            "config.size": "tiny",
            "config.model.title": ["a"],
            "trial": True,
            "status": "done",
        }.items()
    },
    "no evaluation": (
        lambda folder: edit(folder, lambda record: record["config"].pop("evaluation")),
        "evaluation",
    ),
}


def test_damaged_folders_are_named_and_the_rest_is_reported(results, capsys):
    fabricate.study(results, "bad", ROWS, trials=len(DAMAGE) + 2, images=200)
    folders = {name: results / "runs" / "bad" / "resnext" / f"trial-{trial:02d}" for trial, name in enumerate(DAMAGE)}
    for name, (damage, _) in DAMAGE.items():
        damage(folders[name])
    assert command.main([f"results={results}", "study=bad", "report.redraws=1"]) == 0
    said = capsys.readouterr().err.splitlines()
    page = (results / "tables" / "bad" / "index.html").read_text()
    for name, (_, message) in DAMAGE.items():
        complaints = [line for line in said if f"{folders[name]}: " in line]
        assert len(complaints) == 1 and message in complaints[0], (name, complaints)
        assert str(folders[name]) in page
    assert len(said) == len(DAMAGE)
    main = (results / "tables" / "bad" / "report.md").read_text()
    assert [line.split("|")[4].strip() for line in main.splitlines() if "Modules" in line] == ["0/10", "2/12", "0/10"]


REPORTED: set[tuple[str, ...]] = set()  # rows of the runs of which a report was made


@cases(80)
@given(st.data())
def test_a_record_changed_by_hand_is_taken_or_left_out_by_name(original, tmp_path_factory, data):
    """Whatever stands in one record, report and status come to their end, and what is not taken is named."""
    results = tmp_path_factory.mktemp("changed")
    shutil.copytree(original / "runs", results / "runs")
    folder = results / "runs/one/resnext/trial-01"
    record = json.loads((folder / "record.json").read_text())
    node, key = record, data.draw(st.sampled_from(sorted(record)))
    while isinstance(node[key], dict) and node[key] and data.draw(st.booleans()):
        node = node[key]
        key = data.draw(st.sampled_from(sorted(node)))
    node[key] = data.draw(json_values)
    (folder / "record.json").write_text(json.dumps(record))
    runs, problems = folders.read(results, ["one"])
    assert len(runs) + len(problems) == 9
    assert all(str(folder) in problem.message and problem.message.isprintable() for problem in problems)
    choices = report_settings.load(["report.redraws=1", "report.resamples=99", "report.groups=100"]).report
    screen = Console(file=io.StringIO(), width=100)
    progress = status.look(results, "one", runs, problems, report_settings.paper(), choices)
    terminal.print_table(screen, progress.table)
    rest = tuple(sorted(run.record.row for run in runs))
    if (
        not problems or rest not in REPORTED
    ):  # else the same runs again: only the complaint, looked at above, is another
        report = document.make(results, "one", report_settings.paper(), choices)
        output.files_of(report, draw=False)
        terminal.show(screen, report.terminal())
    REPORTED.add(rest)
    shutil.rmtree(results)


def test_a_damaged_history_costs_its_curve_only(results, capsys):
    folder = results / "runs" / "one" / "resnext" / "trial-01"
    (folder / "history.csv").write_text("epoch,loss\n1,2\n")
    assert command.main([f"results={results}", "study=one", "report.redraws=1", "report.draw=false"]) == 0
    assert f"{folder}: history.csv does not have the columns" in capsys.readouterr().err
    assert " 2/10 " not in (results / "tables" / "one" / "report.md").read_text()
    curves = (results / "figures" / "one" / "figure4-curves.csv").read_text().splitlines()
    assert {line.split(",")[2] for line in curves if line.startswith("resnext,")} == {"2"}


def test_copies_are_found(results, capsys):
    source = results / "runs" / "one" / "resnext"
    shutil.copytree(source / "trial-01", source / "trial-05")
    shutil.copytree(source / "trial-01", source / "trial-1")

    # The same run under another row's name, with its record made to fit.
    shutil.copytree(source, results / "runs" / "one" / "resnext2")
    for folder in (results / "runs" / "one" / "resnext2").glob("trial-0[012]"):
        edit(folder, lambda record: record.update(row="resnext2"))
    assert command.main([f"results={results}", "study=one", "report.redraws=1", "report.draw=false"]) == 0
    said = capsys.readouterr().err
    for name in ("trial-05", "trial-1"):
        assert f"{source / name}: record.json belongs to" in said
    assert f"resnext2/trial-00: the same run as {source / 'trial-00'}" in said


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"schedule.epochs": 3}, "schedule.epochs is 3, not 4"),
        ({"precision": "bfloat16"}, "precision is bfloat16, not float32"),
        ({"model.network.depth": 2}, "model.network.depth is 2, not 1"),
        ({"seed": 1}, "seed is 1, not 0"),
    ],
)
def test_what_is_odd_in_a_study_is_left_out_alone_and_by_name(results, capsys, change, key):
    fabricate.study(results, "two", {"separable": 8.0, "hybrid": 8.0, "resnext": 9.0}, trials=2, images=200)
    options = {"images": 200, "change": change, "epochs": change.get("schedule.epochs", 4)}
    fabricate.run(results, "two", "hybrid", 2, **options)
    for trial in (0, 1):
        fabricate.run(results, "two", "inception", trial, **options)
    assert command.main([f"results={results}", "study=two", "report.redraws=1", "report.draw=false"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert sorted(said) == [
        f"left out: two: hybrid 2 left out of table figure4: {key}; study=NAME keeps it apart",
        f"left out: two: inception left out of table figure4: {key}; study=NAME keeps it apart",
    ]
    main = (results / "tables" / "two" / "report.md").read_text()
    assert [line.split("|")[4].strip() for line in main.splitlines() if "Modules" in line][:2] == ["0/10", "2/10"]


def test_two_datasets_in_one_study_are_two_tables(results, capsys):
    fabricate.study(results, "two", {"separable": 8.0, "hybrid": 8.0}, trials=2, images=200)
    for row in ("separable", "hybrid"):
        folder = fabricate.run(results, "two", row, 2, images=300)
        edit(folder, lambda record: record["dataset"].update(sha256="cd" * 32))
    assert command.main([f"results={results}", "study=two", "report.redraws=1", "report.draw=false"]) == 0
    assert capsys.readouterr().err == ""
    place = results / "tables" / "two"
    assert "sha256 cdcdcdcdcdcd" in (place / "report.md").read_text()
    baselines = [
        next(csv.DictReader((place / f"{name}.csv").read_text().splitlines())) for name in ("figure4", "figure4-2")
    ]
    assert [line["n"] for line in baselines] == ["2", "1"]


def test_a_row_of_one_s_own_stands_in_the_main_table_and_changes_nothing_of_the_others(results, capsys):
    fabricate.study(results, "mine", ROWS, trials=3, images=200)
    words = [f"results={results}", "study=mine", *QUICK]
    assert command.main(words) == 0
    before = (results / "tables/mine/figure4.csv").read_text().splitlines()
    for trial in range(3):
        folder = fabricate.run(results, "mine", "shift", trial, images=200, index=7)
        edit(folder, lambda record: record["config"]["model"]["network"].update(widths=[8, 8]))
        edit(folder, lambda record: record.update(identity=identity(record["config"], record["trial"])))
    assert command.main(words) == 0
    after = (results / "tables/mine/figure4.csv").read_text().splitlines()
    # Theirs are as they were, Holm's p and Dunnett's too; the noise floor is the last line.
    assert after[: len(before) - 1] == before[:-1] and after[-2].startswith("shift,shift (own),")
    assert not (results / "tables/mine/rows.csv").exists()
    for figure in ("differences", "trials", "curves", "cost"):
        assert "shift (own)" in (results / f"figures/mine/figure4-{figure}.csv").read_text()
    assert "shift" in (results / "figures/mine/figure4-disagreement.csv").read_text()
    warning = next(line for line in (results / "tables/mine/report.md").read_text().splitlines() if "NOT the" in line)
    assert "shift" not in warning
    capsys.readouterr()
    assert command.main(["compare", "hybrid", "shift", *words[:1], "report.draw=false"]) == 0
    assert "3 trials, paired by trial" in capsys.readouterr().out


def test_different_recorded_subsets_ask_for_a_choice(results, capsys):
    folder = results / "runs" / "one" / "hybrid" / "trial-01"

    def take_all(record):
        record["config"]["evaluation"]["subset"] = "all"
        record["result"]["test_error"] = record["result"]["test_error_all"]

    edit(folder, take_all)
    assert command.main([f"results={results}", "study=one", *QUICK]) == 0
    said = (
        "one: hybrid 1 left out of table figure4: evaluation.subset is all, not paper; report.subset and report.images"
    )
    assert said in capsys.readouterr().err
    assert (
        command.main([f"results={results}", "study=one", "report.subset=all", "report.redraws=1", "report.draw=false"])
        == 0
    )


@pytest.mark.parametrize("trials", [0, 1, 2])
def test_few_trials(tmp_path, capsys, trials):
    fabricate.run(tmp_path, "few", "hybrid", 9, images=100, status="running")
    if trials:
        fabricate.study(tmp_path, "few", ROWS, trials=trials, images=100)
    assert command.main([f"results={tmp_path}", "study=few", "report.redraws=1", "report.draw=false"]) == (
        0 if trials else 1
    )
    if not trials:
        assert "none of its 1 run is finished" in capsys.readouterr().err
        return
    text = (tmp_path / "tables" / "few" / "report.md").read_text()
    assert f" {trials}/10 " in text and ("n/a" in text) == (trials == 1 or "Inception" in text)
    assert "one trial has no spread" in (tmp_path / "tables" / "few" / "report.md").read_text() or trials == 2


def test_rows_that_agree_in_every_trial_have_no_interval_but_a_p_value(tmp_path):
    for row in ("separable", "hybrid"):
        for trial in range(3):
            fabricate.run(tmp_path, "same", row, trial, error=10.0, images=100, index=0)
    assert command.main([f"results={tmp_path}", "study=same", "report.redraws=1", "report.draw=false"]) == 0
    text = (tmp_path / "tables" / "same" / "report.md").read_text()
    assert "| Hybrid | +0.00 | n/a | n/a |" in text and "no spread to judge by" in text and " 1.000 " in text


def test_no_baseline_and_unknown_rows_still_give_a_table(tmp_path):
    fabricate.study(tmp_path, "own", {"mine": 8.0, "yours": 9.0}, trials=2, images=100)
    assert command.main([f"results={tmp_path}", "study=own", "report.redraws=1", "report.draw=false"]) == 0
    text = (tmp_path / "tables" / "own" / "report.md").read_text()
    assert "No finished run of the baseline separable" in text and "| mine |" in text
    assert (
        command.main(
            [f"results={tmp_path}", "study=own", "report.baseline=mine", "report.redraws=1", "report.draw=false"]
        )
        == 0
    )
    assert "| yours | 0.83 (0.83) |" in (tmp_path / "tables" / "own" / "report.md").read_text()


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("study=nope", "there are one"),
        ("report.margn=1", "did you mean report.margin?"),
        ("margin=1", "of a study it is report.margin="),
        ("report.margin=wide", "report.margin=wide is not allowed: a finite number above 0"),
        ("report.margin=-1", "above 0"),
        ("report.subset=half", "recorded, paper, fixed, all"),
        ("report.pairing=maybe", "paired, unpaired"),
        ("report.images=0", "at least 1"),
        ("quick", "not key=value"),
        ("report.images=2.5", "report.images=2.5 is not allowed: a whole number"),
    ],
)
def test_a_wrong_word_is_answered_in_one_line(results, capsys, word, says):
    assert command.main([f"results={results}", word]) == 2
    said = capsys.readouterr()
    assert said.out == "" and says in said.err and len(said.err.splitlines()) == 1
    assert not (results / "tables").exists()


def test_more_images_than_there_are_is_said(results, capsys):
    assert command.main([f"results={results}", "study=one", "report.images=9999"]) == 1
    assert "1 to 200, the number of test images" in capsys.readouterr().err


def test_fabricated_records_are_what_the_run_program_writes(results):
    # The damage tests mean nothing if the undamaged folders were not valid.
    for folder in records.find(results):
        record = read_record(folder)
        assert record["identity"] == identity(record["config"], record["trial"])


def test_home_is_expanded(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command.main(["status", "results=~/nothing", "study=x"]) == 2
    assert str(tmp_path / "nothing") in capsys.readouterr().err


def test_a_letter_that_is_no_unicode_is_shown_as_a_question_mark(tmp_path, capsys):
    """A title typed in Latin-1 reaches Python as a lone surrogate, which JSON escapes; no file of UTF-8 can hold it."""
    title = {"data.title": "caf\udce9"}
    fabricate.study(tmp_path, "s", {"separable": 8.0, "resnext": 9.0}, trials=2, images=100, change=title)
    for words in (["study=s", *QUICK], ["status", "study=s"]):
        assert command.main([*words, f"results={tmp_path}"]) == 0
        assert capsys.readouterr().err == ""
    assert "caf?" in (tmp_path / "tables/s/report.md").read_text()
