"""Nothing silently wrong: divergence, determinism, seed 0, the last epoch and not the best, data that changed."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import wording
from conftest import TINY
from fault_injection import Trainer, clean, stop_in_epoch, train_quietly
from refusals import refused
from same_bits import assert_same

from hybridsep.errors import RecordError
from hybridsep.report import folders
from hybridsep.runs import provenance, records
from hybridsep.train import step
from hybridsep.train.step import TrainingStep


def strict(folder: Path) -> dict:
    """Return record.json, read by a reader that takes no NaN and no Infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{folder}: record.json holds {name}")

    return json.loads((folder / "record.json").read_text(), parse_constant=refuse)


def test_a_trial_that_diverges_ends_with_its_step_and_the_study_goes_on(tmp_path, monkeypatch):
    trainer, steps, original = Trainer(), iter(range(1, 100)), TrainingStep.__call__
    monkeypatch.setattr(
        TrainingStep,
        "__call__",
        lambda step: (original(step), next(steps) == 7 and step.losses[2].fill_(float("nan")))[0],
    )
    trainer(tmp_path, trials=(0, 1))
    assert trainer.outcome.diverged == ["separable trial-00"] and trainer.outcome.finished == 1
    message = "the training loss is nan at step 3 of 4 in epoch 2; the last good epoch is 1"
    record = strict(trainer.folder(tmp_path, 0))
    assert (record["status"], record["message"], record["result"]) == ("diverged", message, None)
    assert f"separable trial-00: diverged, {message}" in trainer.listener.lines
    assert len(records.read_history(trainer.folder(tmp_path, 0))) == 1
    assert strict(trainer.folder(tmp_path, 1))["status"] == "finished"


def test_a_test_loss_that_is_infinite_is_a_divergence(tmp_path, monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(step, "logits_of", lambda *arguments, **keywords: torch.full((20, 10), float("-inf")))
    trainer(tmp_path)
    record = strict(trainer.folder(tmp_path))
    assert record["status"] == "diverged"
    assert record["message"] == "the test loss is nan after epoch 1; the last good epoch is 0"


def test_a_learning_rate_beyond_reason_ends_in_status_1_each_time(run, tmp_path):
    arguments = (*TINY, "schedule.learning_rate=1e30", "trial=0..1")
    status, said = run(*arguments)
    assert status == 1 and wording.trials("diverged", "separable trial-00", "separable trial-01") in said, said
    for folder in records.find(tmp_path / "results"):
        record = strict(folder)
        assert record["status"] == "diverged" and "at step" in record["message"], record["message"]
    status, said = run(*arguments)
    assert status == 1 and wording.ALREADY_DIVERGED in said and wording.TRAINING_TO not in said, said


def finish_in_another_process(root: Path) -> None:
    assert train_quietly(Trainer(), root, trials=(1, 0)) is None


def test_the_same_bits_in_another_process_and_another_order(tmp_path):
    trainer = Trainer()
    trainer(tmp_path / "here", trials=(0, 1))
    trainer(tmp_path / "again", trials=(1,))
    clean(finish_in_another_process, tmp_path / "there")
    for number in (0, 1):
        reference = trainer.folder(tmp_path / "here", number)
        assert_same(trainer.folder(tmp_path / "there", number), reference, f"another process, trial {number}")
    assert_same(trainer.folder(tmp_path / "again", 1), trainer.folder(tmp_path / "here", 1), "alone")


def test_seed_0_is_a_seed_like_any_other(tmp_path):
    found = {}
    for name, overrides in {"default": (), "0": ("seed=0",), "1": ("seed=1",)}.items():
        trainer = Trainer(*overrides)
        trainer(tmp_path / name)
        found[name] = (trainer.folder(tmp_path / name) / "predictions.npz").read_bytes()
    assert found["0"] == found["default"] != found["1"]


def test_the_last_epoch_counts_and_not_the_best_on_test(tmp_path):
    trainer = Trainer("schedule.epochs=5", "schedule.decay_factor=1", "schedule.decay=step", "data.source.test=200")
    trainer(tmp_path, trials=range(4))
    checked = 0
    for number in range(4):
        folder = trainer.folder(tmp_path, number)
        history, result = records.read_history(folder), strict(folder)["result"]
        logits, labels = records.read_predictions(folder)
        error = 100 * float((logits.astype(np.float32).argmax(1) != labels).mean())
        assert error == pytest.approx(history["test_error"].iloc[-1]) == pytest.approx(result["test_error_all"])
        if history["test_error"].min() < history["test_error"].iloc[-1]:
            checked += 1
            assert result["best_epoch"] < 5 and result["best_test_error_all"] < error
    assert checked, "in none of these trials is the best epoch another than the last: choose others"


def test_data_that_changed_is_refused_and_nothing_is_touched(tmp_path):
    trainer = Trainer()
    stop_in_epoch(trainer, 2, after=2)
    trainer(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    dataset = trainer.row.dataset
    images = dataset.train_images.copy()
    images[5, 3, 3, 0] ^= 1
    trainer.row = dataclasses.replace(trainer.row, dataset=dataclasses.replace(dataset, train_images=images))
    with refused(str(trainer.folder(tmp_path)), "other data", kind=RecordError):
        trainer(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_choice_made_after_training_is_recorded_as_it_was_made(tmp_path):
    trainer = Trainer()
    stop_in_epoch(trainer, 2, after=2)
    trainer(tmp_path)
    trainer = Trainer("evaluation.subset=fixed", "evaluation.images=5")
    trainer(tmp_path)
    record = strict(trainer.folder(tmp_path))
    assert record["status"] == "finished"
    assert record["config"]["evaluation"] == {"subset": "fixed", "images": 5}
    runs, problems = folders.read(tmp_path, ["s"])
    assert len(runs) == 1 and not problems, problems


def test_going_on_with_another_version_is_said_aloud(tmp_path, monkeypatch):
    trainer = Trainer()
    stop_in_epoch(trainer, 2, after=2)
    trainer(tmp_path)
    monkeypatch.setattr(provenance, "versions", lambda: {"python": "3.11.7", "torch": "2.99"})
    trainer.listener.step = lambda done: None
    trainer(tmp_path)
    assert any(
        f"torch {torch.__version__.split('+')[0]}" in line and "-> 2.99" in line for line in trainer.listener.lines
    )


def test_two_configurations_started_at_once_do_not_share_a_folder(tmp_path):
    one, other = Trainer(), Trainer("schedule.learning_rate=0.07")
    one(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "both")
    with refused(str(one.folder(tmp_path / "both")), "schedule.learning_rate", "-> 0.07", kind=RecordError):
        other(tmp_path / "both")
    assert_same(one.folder(tmp_path / "both"), one.folder(tmp_path / "one"), "refused")
