"""Short epochs share a commit, and nothing is lost but what came after it; what a row of trials says, and says once."""

import re
import types

import pytest
import torch
import wording
from conftest import TINY
from fault_injection import Trainer
from made_runs import read_record
from refusals import check_refused, names, one_line
from same_bits import assert_same, curves

from hybridsep.runs import records
from hybridsep.train import checkpoint, precision, trial_runner
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


NOTE = "precision: float32, because this cpu has no bfloat16 arithmetic"


@pytest.fixture
def plain_machine(monkeypatch):
    """A machine that does not multiply bfloat16, in a process that has said nothing yet."""
    monkeypatch.setattr(precision, "native_bfloat16", lambda device: False)
    monkeypatch.setattr(trial_runner, "_said", set())


@pytest.mark.parametrize(
    "wrong", ["schedule.batch_size=1000", "data.source.train=0", "augmentation.crop=99", "evaluation.images=101"]
)
def test_an_error_is_one_line_on_a_machine_without_bfloat16(run, plain_machine, wrong):
    check_refused(run(*TINY, "device=cpu", wrong), wrong.partition("=")[0])


def test_the_number_format_is_told_once_when_the_first_trial_begins(run, plain_machine):
    command = ("-m", "model=separable,hybrid", *TINY, "schedule.epochs=1", "schedule.warmup_epochs=0", "device=cpu")
    status, said = run(*command, "trial=0..1")
    assert status == 0 and said.count(NOTE) == 1, said
    assert said.index(NOTE) < said.index(wording.TRAINING_TO)
    trial_runner._said.clear()
    status, said = run(*command, "trial=0..1")
    assert status == 0 and NOTE not in said, "nothing is trained, so nothing is to be said"


def test_another_number_of_threads_than_the_study_is_told_once(tmp_path, monkeypatch):
    monkeypatch.setattr(trial_runner, "_said", set())
    Trainer("threads=1")(tmp_path, trials=range(2))
    other = Trainer("threads=2")
    other(tmp_path, trials=range(4))
    told = [line for line in other.listener.lines if line.startswith("threads: ")]
    assert len(told) == 1 and told[0].startswith("threads: 2, but finished trials of study s had 1"), told
    assert names(told[0], "threads=1") and one_line(told[0])
    trial_runner._said.clear()
    same = Trainer("threads=2", "row=other", "study=another")
    same(tmp_path, trials=range(2))
    assert not [line for line in same.listener.lines if line.startswith("threads: ")]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), r"[\d.]+ % \([\d.]+ % of all test images\)"),
        (("evaluation.subset=all", "trials_at_once=2"), r"[\d.]+ % of all test images"),
        (("evaluation.subset=heldout",), r"[\d.]+ % of its held-out images"),
    ],
)
def test_the_line_of_a_finished_trial_says_which_images_count_and_how_many_trials_ran_at_once(tmp_path, words, error):
    trainer = Trainer("threads=1", *words)
    trainer(tmp_path, trials=range(2))
    at_once = " with 2 trials at once" if "trials_at_once=2" in words else ""
    pattern = rf"separable trial-0\d: finished, \d epochs, test error {error}, [\d,]+ images/s{at_once}"
    for line in trainer.listener.lines[-2:]:
        assert re.fullmatch(pattern, line), line
    for trial in range(2):
        speed = read_record(trainer.folder(tmp_path, trial))["timings"]["train_images_per_second"]
        assert any(
            f"trial-{trial:02d}" in line and f", {speed:,.0f} images/s" in line for line in trainer.listener.lines
        )
