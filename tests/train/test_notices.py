"""What is said about the machine: once, when training begins, and never beside an error."""

import re

import pytest
import wording
from conftest import TINY
from fault_injection import Trainer
from made_runs import read_record
from refusals import check_refused, names, one_line

from hybridsep.train import precision, trial_runner

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
