"""How a command ends: what it says, its exit status and its objective, all from the records."""

import math
from pathlib import Path
from types import SimpleNamespace

import made_runs
import wording
from conftest import TINY
from made_runs import read_record

from hybridsep.launch import command
from hybridsep.launch.conclusion import conclude
from hybridsep.launch.jobs import Job
from hybridsep.runs import records
from hybridsep.runs.stop import FAIL_FAST


def jobs_with(results: Path, **ends: tuple[str, ...]) -> list[Job]:
    """Return a job for each row, whose trials have these statuses in their records; "" has none."""
    made = []
    for row, statuses in ends.items():
        for trial, status in enumerate(statuses):
            if status:
                made_runs.run(results, "s", row, trial, status=status, images=10)
        config = SimpleNamespace(results=str(results), study="s", row=row, task="train")
        made.append(Job(config, list(range(len(statuses))), name=f"model={row}"))
    return made


def test_what_is_said_at_the_end(tmp_path):
    lines: list[str] = []
    jobs = jobs_with(
        tmp_path, separable=("finished",), resnext=("failed", "finished", "running"), hybrid=("diverged",), mine=("",)
    )
    jobs[1].log = "x.log"
    assert conclude(jobs, lines.append, stopped="") == 1
    place = tmp_path / "runs/s"
    killed = "its process ended without a message (killed, or out of memory)"
    assert lines == [
        wording.jobs(1, 4) + " (a job: some trials of one row)",
        wording.trials("failed", "resnext trial-00"),
        f"  resnext trial-00: {read_record(place / 'resnext/trial-00')['message']}; see {place / 'resnext/trial-00'}",
        wording.trials("diverged", "hybrid trial-00"),
        f"  hybrid trial-00: {read_record(place / 'hybrid/trial-00')['message']}; see {place / 'hybrid/trial-00'}",
        wording.trials("lost", "resnext trial-02", "mine trial-00") + "; the same command tries them again",
        f"  resnext trial-02: {killed}, log x.log",
        f"  mine trial-00: {killed}",
        f"runs:   {place}",
        f"tables: python -m hybridsep.report study=s results={tmp_path}",
        f"curves: tensorboard --logdir {place}",
    ]


def test_the_exit_status_follows_from_the_records(tmp_path):
    separable, resnext, hybrid, mine = jobs_with(
        tmp_path, separable=("finished",), resnext=("interrupted",), hybrid=("diverged",), mine=("running",)
    )

    def status(*jobs: Job, stopped: str = "") -> int:
        return conclude(jobs, lambda line: None, stopped=stopped)

    assert [status(separable), status(hybrid), status(resnext), status()] == [0, 1, 1, 0]
    assert [status(each, stopped="SIGTERM") for each in (separable, hybrid, resnext, mine)] == [0, 1, 75, 75]
    assert status(hybrid, resnext, stopped="max_minutes") == 75
    assert status(hybrid, resnext, stopped=FAIL_FAST) == 1
    with records.lock(records.run_folder(tmp_path, "s", "mine", 0)):  # another process is at it
        assert status(mine) == 0
    resnext.errors.append("wrong")
    assert status(separable, resnext, stopped="SIGTERM") == 2


def test_a_sweeper_that_searches_gets_the_test_error(run, tmp_path, monkeypatch):
    run(*TINY, "schedule.epochs=1", "trial=[0,1]")
    [job] = [each for each in command.here().jobs]
    errors = [
        read_record(records.run_folder(tmp_path / "results", "tiny", "separable", trial))["result"] for trial in (0, 1)
    ]
    assert job.test_error() == sum(each["test_error"] for each in errors) / 2
    job.trials.append(2)
    assert math.isnan(job.test_error())
