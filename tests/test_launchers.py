"""Sweeps in other processes: a job fails, one is killed, one is preempted, all are stopped; GPUs are claimed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
from conftest import TINY, cannot_be_written
from same_bits import assert_same

from hybridsep.errors import ConfigError
from hybridsep.launch.result import JobResult, conclude
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
        """Return the process that trains a trial, once an epoch of it is done."""
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            if (self.folder(row, trial) / "history.csv").exists():
                assert records.read(self.folder(row, trial))["status"] == "running", "too fast to be met in the middle"
                plan = json.loads(next(self.results.glob("sweeps/*/plan.json")).read_text())
                number = plan["jobs"].index(f"trial={trial} model={row}")
                return json.loads(next(self.results.glob(f"sweeps/*/job-{number:04d}.json")).read_text())["process"]
            assert self.process.poll() is None, self.end()
            time.sleep(0.02)
        raise AssertionError("no training was seen")


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
    assert records.read(first.folder("resnext", 1))["status"] == "failed"
    for row, trial in (("separable", 1), ("resnext", 0)):
        assert records.read(first.folder(row, trial))["status"] == "finished", said
    obstacle.rmdir()
    second = Command(root, launcher, *overrides)
    status, again = second.end()
    assert status == 0, again
    assert all(records.read(second.folder(row, trial))["status"] == "finished" for row in ROWS for trial in (0, 1))
    return second, said, "".join(path.read_text() for path in sorted(first.results.glob("sweeps/*/job-*.log")))


def as_if_undisturbed(command: Command, run, root: Path) -> None:
    place = root / "alone"
    assert run(*TINY, EPOCHS, "model=separable", "trial=0", results=str(place))[0] == 0
    assert_same(command.folder("separable", 0), place / "runs/tiny/separable/trial-00", "killed and gone on")


def test_joblib_goes_on_when_a_job_fails_and_a_worker_is_killed(run, tmp_path):
    command, said, logs = fail_and_kill(tmp_path, "joblib", "hydra.launcher.n_jobs=2")
    assert re.search(r"a worker died \(SIGKILL.*\) during .*trial=0 model=separable.*: going on", said), said
    assert "lost" not in said, said
    assert logs.count("resnext trial-01: training to epoch 40") == 1, logs  # the second time only; it failed before
    assert len(re.findall("separable trial-00: training from epoch", logs)) == 1, logs
    assert_every_trial_was_ended_by_one(logs)
    as_if_undisturbed(command, run, tmp_path)


def assert_every_trial_was_ended_by_one(logs: str) -> None:
    ended = re.findall(r"(\w+ trial-\d\d): finished", logs)
    assert len(ended) == len(set(ended)) == 4, logs


def test_a_wish_to_stop_reaches_the_workers(tmp_path):
    command = Command(tmp_path, "joblib", "hydra.launcher.n_jobs=2", "schedule.epochs=1000")
    command.worker("separable", 0)
    command.process.send_signal(signal.SIGTERM)  # to the main process only
    status, said = command.end()
    assert status == 75, said
    assert re.search(r"separable trial-00: stopped after epoch .* \(SIGTERM\); the same command goes on", said), said
    assert records.read(command.folder("separable", 0))["status"] == "interrupted"
    assert not command.folder("resnext", 1).exists()


def test_the_first_failure_ends_the_workers_of_a_sweep(tmp_path):
    cannot_be_written(tmp_path / "results", "separable", 0)
    command = Command(tmp_path, "joblib", "hydra.launcher.n_jobs=2", "schedule.epochs=1000", "fail_fast=true")
    status, said = command.end()
    assert status == 1, said
    assert "1 failed: separable trial-00" in said and "0 of 4 jobs done" in said, said
    assert not command.folder("separable", 1).exists() and not command.folder("resnext", 1).exists()


def test_one_worker_is_this_process_and_its_jobs_are_not_lost(run, tmp_path):
    words = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=1", *TINY, "schedule.epochs=1", "trial=0,1")
    status, said = run(*words, results=str(tmp_path))
    assert status == 0 and "2 of 2 jobs done" in said and "lost" not in said, said
    for number in range(2):
        log = next(tmp_path.glob(f"sweeps/*/job-000{number}.log")).read_text()
        assert f"separable trial-0{number}: finished" in log, log
    status, said = run(*words, results=str(tmp_path))
    assert status == 0 and said.count("already finished") == 2, said


def test_a_sweep_whose_notes_cannot_be_written_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("")
    status, said = run("-m", "hydra/launcher=joblib", *TINY, results=str(tmp_path / "file"))
    assert status == 2 and said.startswith("hybridsep: results= cannot be written: ") and said.count("\n") == 1, said


def test_on_a_terminal_no_bar_stands_beside_the_lines_of_the_workers(run, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    status, said = run("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=0", *TINY, results=str(tmp_path))
    assert status == 2 and "n_jobs == 0" in said and "study, trials" not in said, said


def test_a_launcher_without_a_sweep_is_refused(run, tmp_path):
    status, said = run("hydra/launcher=joblib", *TINY, results=str(tmp_path))
    assert (status, said) == (2, "hybridsep: hydra/launcher=joblib starts the jobs of a sweep: add -m\n")
    assert not any(tmp_path.iterdir())


def test_a_sweep_cannot_be_shown_and_says_so_in_a_line(run):
    status, said = run("-m", "--cfg=job", *TINY)
    assert (status, said) == (2, "hybridsep: -m starts jobs, and --cfg and --info only show: give one of them\n")


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
    lost = re.search(r"1 lost: trial=0 model=separable; .*\n  trial=0 model=separable: .* log (/\S+\.err)", said)
    assert lost, said
    assert "separable trial-00: training to epoch 40" in Path(lost[1]).read_text()
    assert_every_trial_was_ended_by_one(logs)
    as_if_undisturbed(command, run, tmp_path)


@pytest.mark.launchers
def test_submitit_requeues_a_preempted_job_which_goes_on(run, tmp_path):
    pytest.importorskip("submitit")
    command = Command(tmp_path, "submitit_local")
    os.kill(command.worker("separable", 0), signal.SIGUSR2)
    status, said = command.end()
    assert status == 0, said
    log = next(command.results.glob("sweeps/*/job-0000.log")).read_text()
    assert re.search(r"separable trial-00: stopped after epoch \d+.* \(SIGTERM\); the same command goes on", log), log
    assert "separable trial-00: training from epoch" in log and "separable trial-00: finished" in log, log
    as_if_undisturbed(command, run, tmp_path)


@pytest.mark.launchers
def test_ctrl_c_lets_the_jobs_of_submitit_save(tmp_path):
    pytest.importorskip("submitit")
    command = Command(tmp_path, "submitit_local", "schedule.epochs=1000", start_new_session=True)
    command.worker("separable", 0)
    os.killpg(command.process.pid, signal.SIGINT)  # as a terminal does: to submitit's processes too
    status, said = command.end()
    assert status == 75 and said.endswith("0 of 4 jobs done; the same command goes on\n"), said
    assert "Traceback" not in said, said
    assert records.read(command.folder("separable", 0))["status"] == "interrupted"
    notes = [json.loads(path.read_text()) for path in command.results.glob("sweeps/*/job-*.json")]
    assert notes and all(note.get("stopped") for note in notes), notes


@pytest.mark.launchers
def test_ray_begins_a_killed_task_again(run, tmp_path):
    pytest.importorskip("ray")
    command, said, logs = fail_and_kill(tmp_path, "ray")
    assert "lost" not in said, said
    assert len(re.findall("separable trial-00: training from epoch", logs)) == 1, logs
    assert_every_trial_was_ended_by_one(logs)
    as_if_undisturbed(command, run, tmp_path)


def test_a_sweep_splits_the_trials_of_a_row_into_jobs(run, tmp_path):
    status, said = run("-m", *TINY, "schedule.epochs=1", "trial=0..1,2..3", "model=separable")
    assert status == 0 and "(trial 4 of 4)" in said, said
    status, said = run("-m", *TINY, "schedule.epochs=1", "trial=range(2,5)", "model=separable")
    assert status == 0 and said.count("already finished") == 2 and "separable trial-04: finished" in said, said


def test_a_launcher_that_is_not_installed_is_named_with_its_extra(run):
    if extra("ray") is None:
        pytest.skip("everything is installed")
    status, said = run("-m", "hydra/launcher=ray", *TINY)
    assert status == 2 and "pip install 'hybridsep[ray]'" in said and said.count("\n") == 1, said


def test_watching_ends_when_nothing_is_left_to_train(tmp_path, capsys):
    import made_runs as fabricate

    from hybridsep.report import __main__ as command
    from hybridsep.report import settings, watch

    fabricate.run(tmp_path, "small", "separable", 0, status="running", images=100)
    fabricate.run(tmp_path, "small", "separable", 1, status="diverged", images=100)
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            shutil.rmtree(tmp_path / "runs/small/separable/trial-00")
            fabricate.run(tmp_path, "small", "separable", 0, images=100)
        assert len(looks) < 3

    words = [f"results={tmp_path}", "study=small", "report.trials=2"]
    watch.watch_status(settings.load([*words, "watch=7"]), sleep=sleep)
    assert looks == [7, 7]
    shown = capsys.readouterr().out
    assert shown.count("Study small") == 3 and shown.count("again in 7 s; Ctrl-C ends") == 2
    assert re.findall(r"separable +(\d/\d)", shown) == ["0/2", "0/2", "1/2"]
    assert command.main(["status", *words, "--watch"]) == 0 and "1/2" in capsys.readouterr().out
    assert command.main([*words, "--watch"]) == 2 and "--watch belongs to status" in capsys.readouterr().err
    assert command.main(["status", *words, "--watch", "watch=0"]) == 2 and "watch=0" in capsys.readouterr().err


def test_what_is_said_at_the_end():
    lines: list[str] = []
    ends = [
        JobResult(failed={"resnext trial-01": "no space; see a/b"}, diverged={"hybrid trial-02": "at step 3; see c"}),
        JobResult(name="model=inception", lost=True, log="x.log"),
        JobResult(failed={"resnext trial-07": "no space; see d"}),
    ]
    assert conclude(ends, lines.append) == 1
    assert lines == [
        "2 failed: resnext trial-01, resnext trial-07",
        "  resnext trial-01: no space; see a/b",
        "  resnext trial-07: no space; see d",
        "1 diverged: hybrid trial-02",
        "  hybrid trial-02: at step 3; see c",
        "1 lost: model=inception; the same command tries it again",
        "  model=inception: its process ended without a word (killed, or out of memory), log x.log",
    ]
    assert conclude([JobResult(), JobResult(stopped=True, failed={"a trial-00": ""})], lines.append) == 75
    assert conclude([JobResult(stopped=True), JobResult(errors=["wrong"])], lines.append) == 2
    assert conclude([], lines.append) == 0


_CLAIM = """
import sys
from pathlib import Path
from hybridsep.train.device_lock import lock_free_device
print(lock_free_device(sys.argv[2].split(","), Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def claimer(folder: Path, devices: str) -> subprocess.Popen:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", _CLAIM, str(folder), devices], **pipes)


def test_processes_claim_different_gpus_and_the_dead_free_theirs(tmp_path, monkeypatch):
    from hybridsep.train import device_lock

    monkeypatch.setattr(device_lock, "_held", {})
    owners = [claimer(tmp_path, "a,b") for _ in range(2)]
    assert sorted(owner.stdout.readline().strip() for owner in owners) == ["0", "1"]
    with pytest.raises(ConfigError, match="all 2 GPUs are in use by other processes.*device=cuda:0"):
        device_lock.lock_free_device(["a", "b"], tmp_path)
    # What is visible to a process has other numbers there: the name counts.
    assert device_lock.lock_free_device(["b", "c"], tmp_path) == 1
    assert device_lock.lock_free_device(["c", "b"], tmp_path) == 0
    owners[0].kill()
    owners[0].communicate()
    owners.append(claimer(tmp_path, "a,b"))
    assert owners[-1].stdout.readline().strip() in ("0", "1")
    (tmp_path / "hybridsep-gpu-d.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="cannot be opened"):
        device_lock.lock_free_device(["d"], tmp_path)
    for owner in owners[1:]:
        owner.communicate()
    for descriptor in device_lock._held.values():
        os.close(descriptor)
