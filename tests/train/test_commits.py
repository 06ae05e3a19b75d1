"""Short epochs share a commit: fewer checkpoints, the same bits, and nothing lost but what came after the last one."""

import types

import pytest
import torch
from fault_injection import Trainer
from made_runs import read_record
from same_bits import assert_same, curves

from hybridsep.runs import records
from hybridsep.train import checkpoint, trial_runner
from hybridsep.train.step import TrainingStep

SIX = ("schedule.epochs=6",)


class Killed(BaseException):
    """Stands for SIGKILL: nothing is written after it."""


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    clock = types.SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(trial_runner, "time", clock)
    return clock


@pytest.fixture
def saved(monkeypatch):
    """The number of epochs in each checkpoint that is written."""
    epochs, save = [], checkpoint.save

    def noted(folder, state, *, identity):
        epochs.append(len(state.history))
        save(folder, state, identity=identity)

    monkeypatch.setattr(checkpoint, "save", noted)
    return epochs


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The folder of a trial that commits every epoch."""
    trainer, results = Trainer(*SIX), tmp_path_factory.mktemp("reference")
    trainer(results)
    return trainer.folder(results)


def seconds_an_epoch(trainer, clock, seconds):
    trainer.listener.end_epoch = lambda row: setattr(clock, "now", clock.now + seconds)


@pytest.mark.parametrize(
    ("seconds", "committed"), [(0.1, [6]), (7.0, [4, 6]), (8.0, [3, 5, 6]), (20.0, [2, 3, 4, 5, 6])]
)
def test_epochs_share_a_commit_until_it_is_due(tmp_path, clock, saved, reference, seconds, committed):
    trainer = Trainer(*SIX, commit_seconds=15.0)
    seconds_an_epoch(trainer, clock, seconds)
    trainer(tmp_path)
    assert saved == committed
    assert_same(trainer.folder(tmp_path), reference, "shared commits")


@pytest.mark.parametrize("step", [6, 14, 18])
def test_killed_between_two_commits_it_goes_on_to_the_same_bits(tmp_path, clock, saved, reference, step):
    trainer = Trainer(*SIX, commit_seconds=15.0)
    seconds_an_epoch(trainer, clock, 8.0)
    steps = iter(range(1, 100))

    def kill(done: int) -> None:
        if next(steps) == step:
            raise Killed

    trainer.listener.step = kill
    with pytest.raises(Killed):
        trainer(tmp_path)
    folder, epochs = trainer.folder(tmp_path), saved[-1:]
    if epochs:
        assert len(records.read_history(folder)) == len(curves(folder)["loss/train"]) == epochs[0]
    trainer.listener.step = lambda done: None
    trainer(tmp_path)
    assert_same(folder, reference, f"killed after step {step}")


def test_stopped_between_two_commits_nothing_is_lost(tmp_path, reference):
    trainer = Trainer(*SIX, commit_seconds=1e9)
    steps = iter(range(1, 100))
    trainer.listener.step = lambda done: setattr(trainer.stop, "reason", "SIGTERM" if next(steps) == 14 else "")
    trainer(tmp_path)
    folder = trainer.folder(tmp_path)
    assert trainer.outcome.stopped
    assert len(records.read_history(folder)) == len(curves(folder)["loss/train"]) == 3
    trainer.listener.step = lambda done: None
    trainer(tmp_path)
    assert_same(folder, reference, "stopped")


def test_a_trial_that_diverges_keeps_the_history_of_its_good_epochs(tmp_path, monkeypatch, saved):
    begin, epochs = TrainingStep.begin_epoch, iter(range(1, 10))

    def begin_epoch(self, *arguments, **options):
        if next(epochs) == 4:
            with torch.no_grad():
                next(self.network.parameters()).fill_(float("nan"))
        begin(self, *arguments, **options)

    monkeypatch.setattr(TrainingStep, "begin_epoch", begin_epoch)
    trainer = Trainer(*SIX, commit_seconds=1e9)
    trainer(tmp_path)
    folder = trainer.folder(tmp_path)
    assert len(trainer.outcome.diverged) == 1 and not saved
    assert len(records.read_history(folder)) == len(curves(folder)["loss/train"]) == 3
    assert "the last good epoch is 3" in read_record(folder)["message"]
