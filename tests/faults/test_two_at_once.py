"""Several processes on one study: each trial trained by one of them, nothing held by the dead, files read whole."""

import os
import re
import signal
import time
from pathlib import Path

import made_runs
import pytest
import wording
from fault_injection import Child, Trainer, clean, command, train_quietly
from made_runs import read_record
from same_bits import assert_same

from hybridsep.runs import records


def every_trial_is_trained_once(root: Path, processes: int, trials: int) -> None:
    trainer = Trainer()
    trainer(root / "alone", trials=range(trials))
    (root / "meeting").mkdir()

    def meet(done: int) -> None:
        """Wait in the first step until all processes are in one."""
        (root / "meeting" / str(os.getpid())).touch()
        while len(list((root / "meeting").iterdir())) < processes:
            time.sleep(0.01)

    arguments = (f"results={root}", f"trial=0..{trials - 1}")
    children = [Child(command, *arguments, on_step=meet) for _ in range(processes)]
    statuses = [child.wait() for child in children]
    said = "".join(child.said for child in children)
    assert statuses == [0] * processes, said
    trained = re.findall(rf"(trial-\d\d): {wording.TRAINING_TO}", said)
    assert sorted(trained) == [f"trial-{trial:02d}" for trial in range(trials)], said
    busy = len(re.findall("another process is training it", said))
    assert busy >= processes - 1, said
    for trial in range(trials):
        assert_same(trainer.folder(root, trial), trainer.folder(root / "alone", trial), f"trial {trial}: {said}")


def the_dead_hold_nothing(root: Path) -> None:
    trainer = Trainer()
    trainer(root / "alone")
    seen = iter(range(1, 100))
    owner = Child(command, f"results={root}", on_step=lambda done: next(seen) == 6 and signal.pause())
    folder = trainer.folder(root)
    while not (folder / "checkpoint.pt").exists():
        time.sleep(0.05)
    other = Child(command, f"results={root}")
    assert other.wait() == 0 and "separable trial-00: another process is training it" in other.said, other.said
    assert read_record(folder)["status"] == "running"
    owner.kill()
    assert owner.wait() == -signal.SIGKILL
    heir = Child(command, f"results={root}")
    assert heir.wait() == 0 and f"{wording.TRAINING_FROM} 2 to epoch 2" in heir.said, heir.said
    assert_same(folder, trainer.folder(root / "alone"), "after the owner's death")


def a_report_reads_while_records_are_written(root: Path) -> None:
    from hybridsep.report import folders

    trainer = Trainer()
    child = Child(train_quietly, trainer, root, trials=range(6))
    reads, seen = 0, set()
    while child.running():
        runs, problems = folders.read(root, ["s"])
        reads += 1
        seen |= {run.status for run in runs}
        # Between the making of a folder and its first record there is nothing to read, and that is said.
        assert all("no record.json" in problem.message for problem in problems), problems
    assert child.wait() == 0, child.said
    assert reads > 5 and seen == {"running", "finished"}, (reads, seen)


@pytest.mark.parametrize("processes", [2, 4])
def test_every_trial_is_trained_once(tmp_path, processes):
    clean(every_trial_is_trained_once, tmp_path, processes, 5)


@pytest.mark.parametrize(
    "case", [the_dead_hold_nothing, a_report_reads_while_records_are_written], ids=lambda case: case.__name__
)
def test_together(tmp_path, case):
    clean(case, tmp_path)


def rewrite(folder: Path, times: int) -> None:
    """Write a record again and again, each time with another length and one number in two places."""
    record = read_record(folder)
    for number in range(times):
        long = {"message": str(number) * (1 + number % 700), "started": str(number), "updated": str(number)}
        records.write(folder, {**record, "dataset": {**record["dataset"], "sha256": str(number)}, **long})


def read_while_written(root: Path) -> None:
    folder = made_runs.run(root, "s", "r", 0, status="running")
    rewrite(folder, 1)
    writer = Child(rewrite, folder, 400)
    seen = set()
    while writer.running():
        record = read_record(folder)
        number = record["started"]
        assert record["updated"] == number == record["dataset"]["sha256"], record
        assert record["message"] == number * (1 + int(number) % 700), record
        seen.add(number)
    assert writer.wait() == 0, writer.said
    assert len(seen) > 20, f"only {len(seen)} different records were seen"


def test_a_record_read_while_it_is_written_is_the_old_or_the_new_one(tmp_path):
    clean(read_while_written, tmp_path)
