"""Sweeps in other processes: a job fails, one is killed, one is preempted, all are stopped; GPUs are claimed."""

import os
import re
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
import wording
from conftest import TINY, cannot_be_written
from made_runs import read_record
from refusals import check_refused
from same_bits import assert_same

from hybridsep.runs import records

EPOCHS = "schedule.epochs=40"  # seconds: long enough to be met in the middle
ROWS = ("separable", "resnext")


class Command:
    """A sweep in a process of its own; every job is one trial of one row."""

    def __init__(self, root: Path, launcher: str, *overrides: str, start_new_session: bool = False):
        self.results = root / "results"
        arguments = [f"hydra/launcher={launcher}", *TINY, EPOCHS, "trial=0,1", *overrides]
        arguments += [f"model={','.join(ROWS)}", f"results={self.results}", f"data_dir={root / 'data'}"]
        command = [sys.executable, "-m", "hybridsep.run", "-m", *arguments]
        pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
        self.process = subprocess.Popen(command, **pipes, start_new_session=start_new_session)

    def end(self) -> tuple[int, str]:
        said = self.process.communicate()[1]
        return self.process.returncode, said

    def folder(self, row: str, trial: int) -> Path:
        return records.run_folder(self.results, "tiny", row, trial)

    def worker(self, row: str, trial: int) -> int:
        """Return the process that trains a trial, once its log says that an epoch is done."""
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            logs = self.results.glob(f"sweeps/*/{row}-trial-{trial}.log")
            if any(f"{row} trial-{trial:02d}: epoch 1/" in log.read_text() for log in logs):
                assert read_record(self.folder(row, trial))["status"] == "running", "too fast to be met in the middle"
                return owner(records.lock_file(self.folder(row, trial)))
            assert self.process.poll() is None, self.end()
            time.sleep(0.02)
        raise AssertionError("no training was seen")


def owner(lock: Path) -> int:
    """Return the process that holds a lock."""
    number = str(lock.stat().st_ino)
    held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return next(int(words[4]) for words in held if words[1] == "FLOCK" and words[5].split(":")[-1] == number)


def fail_and_kill(root: Path, launcher: str, *overrides: str) -> tuple[Command, str, str]:
    """Run a sweep with a trial that cannot be written and one whose process is killed; mend it and run it again."""
    # A folder where only files should be: it cannot be removed like the event files of an earlier start.
    obstacle = root / "results/runs/tiny/resnext/trial-01/events.out.tfevents.obstacle"
    obstacle.mkdir(parents=True)
    first = Command(root, launcher, *overrides)
    os.kill(first.worker("separable", 0), signal.SIGKILL)
    status, said = first.end()
    assert status == 1, said
    assert re.search(
        r"1 failed: resnext trial-01\n  resnext trial-01: (?:IsADirectory|Permission)Error.*trial-01", said
    ), said
    assert read_record(first.folder("resnext", 1))["status"] == "failed"
    for row, trial in (("separable", 1), ("resnext", 0)):
        assert read_record(first.folder(row, trial))["status"] == "finished", said
    obstacle.rmdir()
    second = Command(root, launcher, *overrides)
    status, again = second.end()
    assert status == 0, again
    assert all(read_record(second.folder(row, trial))["status"] == "finished" for row in ROWS for trial in (0, 1))
    return second, said, "".join(path.read_text() for path in sorted(first.results.glob("sweeps/*/*.log")))


def as_if_undisturbed(command: Command, run, root: Path) -> None:
    place = root / "alone"
    assert run(*TINY, EPOCHS, "model=separable", "trial=0", results=str(place))[0] == 0
    assert_same(command.folder("separable", 0), place / "runs/tiny/separable/trial-00", "killed and gone on")


def test_joblib_goes_on_when_a_job_fails_and_a_worker_is_killed(run, tmp_path):
    command, said, logs = fail_and_kill(tmp_path, "joblib", "hydra.launcher.n_jobs=2")
    assert re.search(r"a worker died \(SIGKILL.*\) during .*trial=0 model=separable.*: going on", said), said
    assert "lost" not in said, said
    assert logs.count(f"resnext trial-01: {wording.TRAINING_TO} 40") == 1, (
        logs
    )  # the second time only; it failed before
    assert len(re.findall("separable trial-00: training (?:from|to) epoch", logs)) == 2, logs
    assert_every_trial_was_ended_by_one(logs)
    as_if_undisturbed(command, run, tmp_path)


def assert_every_trial_was_ended_by_one(logs: str) -> None:
    ended = re.findall(wording.finished(r"(\w+ trial-\d\d)"), logs)
    assert len(ended) == len(set(ended)) == 4, logs


def test_a_wish_to_stop_reaches_the_workers(tmp_path):
    command = Command(tmp_path, "joblib", "hydra.launcher.n_jobs=2", "schedule.epochs=1000")
    command.worker("separable", 0)
    command.process.send_signal(signal.SIGTERM)  # to the main process only
    status, said = command.end()
    assert status == 75, said
    assert re.search(f"separable trial-00: stopped after epoch .*SIGTERM.*{wording.GOES_ON}", said), said
    assert read_record(command.folder("separable", 0))["status"] == "interrupted"
    assert not command.folder("resnext", 1).exists()


def test_the_first_failure_ends_the_workers_of_a_sweep(tmp_path):
    cannot_be_written(tmp_path / "results", "separable", 0)
    command = Command(tmp_path, "joblib", "hydra.launcher.n_jobs=2", "schedule.epochs=1000", "fail_fast=true")
    status, said = command.end()
    assert status == 1, said
    assert wording.trials("failed", "separable trial-00") in said and wording.jobs(0, 4) in said, said
    assert not command.folder("separable", 1).exists() and not command.folder("resnext", 1).exists()


def test_one_worker_is_this_process_and_its_jobs_are_not_lost(run, tmp_path):
    words = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=1", *TINY, "schedule.epochs=1", "trial=0,1")
    status, said = run(*words, results=str(tmp_path))
    assert status == 0 and wording.jobs(2, 2) in said and "lost" not in said, said
    for number in range(2):
        log = next(tmp_path.glob(f"sweeps/*/separable-trial-{number}.log")).read_text()
        assert wording.finished(f"separable trial-0{number}") in log, log
    status, said = run(*words, results=str(tmp_path))
    assert status == 0 and said.count(wording.ALREADY_FINISHED) == 2, said


def test_a_sweep_whose_notes_cannot_be_written_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("")
    ended = run("-m", "hydra/launcher=joblib", *TINY, results=str(tmp_path / "file"))
    check_refused(ended, key=f"results={tmp_path}/file")


def test_on_a_terminal_no_bar_stands_beside_the_lines_of_the_workers(run, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    status, said = run("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=0", *TINY, results=str(tmp_path))
    assert status == 2 and "n_jobs == 0" in said and "study, trials" not in said, said


def extra(launcher: str) -> str | None:
    """Return why a launcher cannot be tried here."""
    package = {"ray": "hydra-ray-launcher", "submitit_local": "hydra-submitit-launcher"}[launcher]
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return f"{package} is not installed; make test-launchers"
    return None


@pytest.mark.launchers
def test_submitit_names_the_lost_job_with_its_log_and_the_others_go_on(run, tmp_path):
    pytest.importorskip("submitit")
    command, said, logs = fail_and_kill(tmp_path, "submitit_local")
    lost = re.search(r"1 lost: separable trial-00; .*\n  separable trial-00: .* log (/\S+\.err)", said)
    assert lost, said
    assert f"separable trial-00: {wording.TRAINING_TO} 40" in Path(lost[1]).read_text()
    assert_every_trial_was_ended_by_one(logs)
    as_if_undisturbed(command, run, tmp_path)


@pytest.mark.launchers
def test_submitit_requeues_a_preempted_job_which_goes_on(run, tmp_path):
    pytest.importorskip("submitit")
    command = Command(tmp_path, "submitit_local")
    os.kill(command.worker("separable", 0), signal.SIGUSR2)
    status, said = command.end()
    assert status == 0, said
    log = next(command.results.glob("sweeps/*/separable-trial-0.log")).read_text()
    assert re.search(f"separable trial-00: stopped after epoch .*SIGTERM.*{wording.GOES_ON}", log), log
    assert f"separable trial-00: {wording.TRAINING_FROM}" in log and wording.finished("separable trial-00") in log, log
    as_if_undisturbed(command, run, tmp_path)


@pytest.mark.launchers
def test_ctrl_c_lets_the_jobs_of_submitit_save(tmp_path):
    pytest.importorskip("submitit")
    command = Command(tmp_path, "submitit_local", "schedule.epochs=1000", start_new_session=True)
    command.worker("separable", 0)
    os.killpg(command.process.pid, signal.SIGINT)  # as a terminal does: to submitit's processes too
    status, said = command.end()
    assert status == 75 and wording.jobs(0, 4, stopped=True) in said, said
    assert "Traceback" not in said, said
    assert read_record(command.folder("separable", 0))["status"] == "interrupted"


@pytest.mark.launchers
def test_ray_begins_a_killed_task_again(run, tmp_path):
    pytest.importorskip("ray")
    command, said, logs = fail_and_kill(tmp_path, "ray")
    assert "lost" not in said, said
    assert len(re.findall("separable trial-00: training (?:from|to) epoch", logs)) == 2, logs
    assert_every_trial_was_ended_by_one(logs)
    as_if_undisturbed(command, run, tmp_path)


def test_a_sweep_splits_the_trials_of_a_row_into_jobs(run, tmp_path):
    status, said = run("-m", *TINY, "schedule.epochs=1", "trial=0..1,2..3", "model=separable")
    assert status == 0 and "(trial 4 of 4)" in said, said
    status, said = run("-m", *TINY, "schedule.epochs=1", "trial=range(2,5)", "model=separable")
    assert (
        status == 0 and said.count(wording.ALREADY_FINISHED) == 2 and wording.finished("separable trial-04") in said
    ), said


def test_a_launcher_that_is_not_installed_is_named_with_its_extra(run):
    if extra("ray") is None:
        pytest.skip("everything is installed")
    check_refused(run("-m", "hydra/launcher=ray", *TINY), "pip install 'hybridsep[ray]'")


def test_workers_end_when_their_command_was_killed(tmp_path):
    command = Command(tmp_path, "joblib", "hydra.launcher.n_jobs=2", "schedule.epochs=2000")
    worker = command.worker("separable", 0)
    command.process.kill()
    command.end()
    deadline = time.monotonic() + 120
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert read_record(command.folder("separable", 0))["status"] == "interrupted"
    assert not command.folder("resnext", 1).exists()


def test_the_time_limit_of_joblib_is_named_with_the_lost_trials(tmp_path):
    command = Command(tmp_path, "joblib", "hydra.launcher.n_jobs=2", "schedule.epochs=5000", "hydra.launcher.timeout=8")
    status, said = command.end()
    assert status == 1 and "hydra.launcher.timeout=8" in said and "4 lost: separable trial-00, " in said, said
    assert "Traceback" not in said and "TimeoutError" not in said, said


def test_a_stop_ends_a_sweep_of_many_jobs_at_once(tmp_path, monkeypatch):
    words = [sys.executable, "-m", "hybridsep.run", "-m", *TINY, "schedule.epochs=5000", "trial=range(0,1000)"]
    with subprocess.Popen([*words, f"results={tmp_path}"], stderr=subprocess.PIPE, text=True) as process:
        first = records.run_folder(tmp_path, "tiny", "separable", 0)
        while not (first / "record.json").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        begun = time.process_time()
        said = process.communicate()[1]
    assert process.returncode == 75 and wording.jobs(0, 1000, stopped=True) in said, said
    assert said.count("not begun") == 0 and time.process_time() - begun < 5


def test_nothing_is_written_outside_results(run, tmp_path, monkeypatch):
    place = tmp_path / "temporary"
    place.mkdir()
    (tmp_path / "thesis").write_text("mine")
    (place / "multirun.yaml").symlink_to(tmp_path / "thesis")
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(place)
    status, said = run("-m", *TINY, "schedule.epochs=1", "hydra.job.chdir=true", "trial=0,1")
    assert status == 0 and wording.jobs(2, 2) in said, said
    assert [path.name for path in place.iterdir()] == ["multirun.yaml"]
    assert (tmp_path / "thesis").read_text() == "mine"
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["runs"]
