"""Sweeps in other processes: a job fails, one is killed, one is preempted, all are stopped; GPUs are claimed."""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import TINY, cannot_be_written
from same_bits import assert_same

from hybridsep.errors import ConfigError
from hybridsep.launch.conclusion import conclude
from hybridsep.launch.jobs import Job
from hybridsep.runs import records
from hybridsep.runs.stop import FAIL_FAST, FILE, Stop, announce

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
                assert records.read(self.folder(row, trial))["status"] == "running", "too fast to be met in the middle"
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
    assert records.read(first.folder("resnext", 1))["status"] == "failed"
    for row, trial in (("separable", 1), ("resnext", 0)):
        assert records.read(first.folder(row, trial))["status"] == "finished", said
    obstacle.rmdir()
    second = Command(root, launcher, *overrides)
    status, again = second.end()
    assert status == 0, again
    assert all(records.read(second.folder(row, trial))["status"] == "finished" for row in ROWS for trial in (0, 1))
    return second, said, "".join(path.read_text() for path in sorted(first.results.glob("sweeps/*/*.log")))


def as_if_undisturbed(command: Command, run, root: Path) -> None:
    place = root / "alone"
    assert run(*TINY, EPOCHS, "model=separable", "trial=0", results=str(place))[0] == 0
    assert_same(command.folder("separable", 0), place / "runs/tiny/separable/trial-00", "killed and gone on")


def test_joblib_goes_on_when_a_job_fails_and_a_worker_is_killed(run, tmp_path):
    command, said, logs = fail_and_kill(tmp_path, "joblib", "hydra.launcher.n_jobs=2")
    assert re.search(r"a worker died \(SIGKILL.*\) during .*trial=0 model=separable.*: going on", said), said
    assert "lost" not in said, said
    assert logs.count("resnext trial-01: training to epoch 40") == 1, logs  # the second time only; it failed before
    assert len(re.findall("separable trial-00: training (?:from|to) epoch", logs)) == 2, logs
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
        log = next(tmp_path.glob(f"sweeps/*/separable-trial-{number}.log")).read_text()
        assert f"separable trial-0{number}: finished" in log, log
    status, said = run(*words, results=str(tmp_path))
    assert status == 0 and said.count("already finished") == 2, said


def test_a_sweep_whose_notes_cannot_be_written_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("")
    status, said = run("-m", "hydra/launcher=joblib", *TINY, results=str(tmp_path / "file"))
    assert (
        status == 2
        and said.startswith(f"hybridsep: results={tmp_path}/file cannot be written: ")
        and said.count("\n") == 1
    ), said


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
    lost = re.search(r"1 lost: separable trial-00; .*\n  separable trial-00: .* log (/\S+\.err)", said)
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
    log = next(command.results.glob("sweeps/*/separable-trial-0.log")).read_text()
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
    assert status == 75 and "0 of 4 jobs done; the same command goes on" in said, said
    assert "Traceback" not in said, said
    assert records.read(command.folder("separable", 0))["status"] == "interrupted"


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


def jobs_with(results: Path, **ends: tuple[str, ...]) -> list[Job]:
    """Return a job for each row, whose trials have these statuses in their records; "" has none."""
    import made_runs as fabricate

    made = []
    for row, statuses in ends.items():
        for trial, status in enumerate(statuses):
            if status:
                fabricate.run(results, "s", row, trial, status=status, images=10)
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
        "1 of 4 jobs done (a job: some trials of one row)",
        "1 failed: resnext trial-00",
        f"  resnext trial-00: {records.read(place / 'resnext/trial-00')['message']}; see {place / 'resnext/trial-00'}",
        "1 diverged: hybrid trial-00",
        f"  hybrid trial-00: {records.read(place / 'hybrid/trial-00')['message']}; see {place / 'hybrid/trial-00'}",
        "2 lost: resnext trial-02, mine trial-00; the same command tries them again",
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


def test_a_worker_hears_of_the_stop_request_of_another_process(tmp_path):
    followed = Stop()
    announce(tmp_path / FILE, "")
    followed.follow(tmp_path / FILE, parent=True)
    assert not followed.due()
    announce(tmp_path / FILE, "SIGTERM")
    followed._looked = 0.0
    assert followed.due() and followed.reason == "SIGTERM"
    late, orphan = Stop(), Stop()
    announce(tmp_path / FILE, "", seconds_left=0)
    late.follow(tmp_path / FILE, parent=False)
    assert late.due() and late.reason == "max_minutes"
    orphan.follow(tmp_path / "none", parent=True)
    orphan._parent = 0
    assert orphan.due() and "has ended" in orphan.reason


def test_workers_end_when_their_command_was_killed(tmp_path):
    command = Command(tmp_path, "joblib", "hydra.launcher.n_jobs=2", "schedule.epochs=2000")
    worker = command.worker("separable", 0)
    command.process.kill()
    command.end()
    deadline = time.monotonic() + 120
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert records.read(command.folder("separable", 0))["status"] == "interrupted"
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
    assert process.returncode == 75 and "0 of 1000 jobs done; the same command goes on" in said, said
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
    assert status == 0 and "2 of 2 jobs done" in said, said
    assert [path.name for path in place.iterdir()] == ["multirun.yaml"]
    assert (tmp_path / "thesis").read_text() == "mine"
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["runs"]


def test_a_sweeper_that_searches_gets_the_test_error(run, tmp_path, monkeypatch):
    from hybridsep.launch import command

    run(*TINY, "schedule.epochs=1", "trial=[0,1]")
    [job] = [each for each in command.here().jobs]
    errors = [
        records.read(records.run_folder(tmp_path / "results", "tiny", "separable", trial))["result"] for trial in (0, 1)
    ]
    assert job.test_error() == sum(each["test_error"] for each in errors) / 2
    job.trials.append(2)
    assert math.isnan(job.test_error())


_CLAIM = """
import sys
from hybridsep.train.device_lock import lock_free_device
print(lock_free_device(sys.argv[1].split(",")), flush=True)
sys.stdin.read()
"""


def claimer(devices: str) -> subprocess.Popen:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", _CLAIM, devices], **pipes)


def test_processes_claim_different_gpus_and_the_dead_free_theirs(monkeypatch):
    from hybridsep.train import device_lock

    monkeypatch.setattr(device_lock, "_held", {})
    a, b, c = (f"{letter}-{os.getpid()}" for letter in "abc")
    owners = [claimer(f"{a},{b}") for _ in range(2)]
    assert sorted(owner.stdout.readline().strip() for owner in owners) == ["0", "1"]
    with pytest.raises(ConfigError, match="all 2 GPUs are in use by other processes.*device=cuda:0"):
        device_lock.lock_free_device([a, b])
    # What is visible to a process has other numbers there: the name counts.
    assert device_lock.lock_free_device([b, c]) == 1
    assert device_lock.lock_free_device([c, b]) == 0
    owners[0].kill()
    owners[0].communicate()
    owners.append(claimer(f"{a},{b}"))
    assert owners[-1].stdout.readline().strip() in ("0", "1")
    for owner in owners[1:]:
        owner.communicate()
    for held in device_lock._held.values():
        held.close()
