"""Trials share the cores of a CPU as their network asks for, and what the user said counts."""

from pathlib import Path

import pytest
from fault_injection import Trainer, stop_in_epoch
from made_runs import read_record

from hybridsep.train.cores import SMALL_STEP, share

SMALL, LARGE = SMALL_STEP // 10, SMALL_STEP * 10


@pytest.mark.parametrize(
    ("step", "waiting", "threads", "at_once", "earlier", "expected"),
    [
        (SMALL, 10, None, None, None, (8, 1)),  # as many as there are cores, one thread each
        (SMALL, 3, None, None, None, (3, 1)),
        (LARGE, 10, None, None, None, (1, 8)),
        (LARGE, 10, None, 2, None, (2, 4)),
        (LARGE, 1, None, 2, None, (1, 8)),  # what really runs at once counts
        (SMALL, 10, None, 2, None, (2, 1)),
        (SMALL, 10, 2, None, None, (1, 2)),
        (SMALL, 10, 3, 4, None, (4, 3)),
        (SMALL, 10, None, None, 4, (2, 4)),  # a trial goes on with the bits it began with
        (LARGE, 10, None, None, 2, (1, 2)),
        (LARGE, 10, None, None, 64, (1, 8)),  # from a larger machine
    ],
)
def test_who_gets_which_cores(step, waiting, threads, at_once, earlier, expected):
    found = share(8, waiting, step_macs=step, threads=threads, at_once=at_once, earlier=earlier)
    assert (found.trials_at_once, found.threads) == expected
    assert bool(found.notes) == (threads is None and at_once is None)


def test_one_core_needs_no_line():
    found = share(1, 5, step_macs=LARGE, threads=None, at_once=None, earlier=None)
    assert (found.trials_at_once, found.threads, found.notes) == (1, 1, ())


def test_a_row_goes_on_with_the_threads_it_has(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("hybridsep.runs.machine.cores", lambda: 4)
    first = Trainer("threads=2")
    stop_in_epoch(first, 2, after=1)
    first(tmp_path, trials=[1])
    assert first.outcome.stopped
    Trainer("threads=null")(tmp_path, trials=range(3))
    threads = [read_record(first.folder(tmp_path, trial))["machine"]["threads"] for trial in range(3)]
    assert threads == [2, 2, 2]


def test_the_choice_is_said_once_and_recorded(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("hybridsep.runs.machine.cores", lambda: 2)
    monkeypatch.setattr("hybridsep.train.trial_runner._said", set())
    trainer = Trainer("threads=null")
    trainer(tmp_path, trials=range(3))
    said = [line for line in trainer.listener.lines if line.startswith("2 cores: ")]
    assert said == [
        "2 cores: 2 trials at once, 1 thread each (the network is small); threads= and trials_at_once= change it"
    ]
    record = read_record(trainer.folder(tmp_path, 2))
    assert record["machine"]["threads"] == 1 and record["timings"]["trials_at_once"] == 2
