"""Kill anywhere, stop on request: whatever ends a run, the same command goes on to the same bits.

The long form, with every number larger and real processes, is `scripts/soak.py`.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import wording
from fault_injection import SMALL, STEPS, Child, Strike, Trainer, clean, command, stop_in_epoch, train_quietly
from made_runs import read_record
from same_bits import FILES, assert_same, files


def kill_at_every_operation(root: Path, *overrides: str) -> int:
    """Kill a run at each of its operations on files and let it go on; return how many there were."""
    trainer = Trainer(*overrides)
    trace = trainer(root / "reference").trace
    reference = trainer.folder(root / "reference")
    struck = {"/".join(Path(path).relative_to(root / "reference").parts[4:]) for kind, path in trace if kind == "write"}
    assert {f".writing-{name}" for name in ("checkpoint.pt", "history.csv", "record.json", "predictions.npz")} < struck
    assert any("tfevents" in name for name in struck)
    for number in range(1, len(trace) + 1):
        results = root / "killed"
        child = Child(train_quietly, trainer, results, strike=Strike(number))
        kind, path = trace[number - 1]
        what = f"killed at operation {number} of {len(trace)}, {kind} {Path(path).name}"
        assert child.wait() == -signal.SIGKILL, f"{what}: {child.said}"
        trainer(results)
        assert trainer.outcome.finished == len(trainer.listener.lines) == 1, f"{what}: {trainer.listener.lines}"
        assert_same(trainer.folder(results), reference, what)
        shutil.rmtree(results)
    return len(trace)


def kill_while_a_damaged_checkpoint_is_replaced(root: Path) -> int:
    """Damage the newest checkpoint, and kill the run that goes on from the older one until it has written its own."""
    trainer = Trainer()
    trainer(root / "reference")
    reference = trainer.folder(root / "reference")
    stop_in_epoch(trainer, 2, after=2)
    trainer(root / "begun")
    trainer.listener.step = lambda done: None
    newest = trainer.folder(root / "begun") / "checkpoint.pt"
    newest.write_bytes(newest.read_bytes()[:-100])
    shutil.copytree(root / "begun", root / "whole")
    trace = trainer(root / "whole").trace
    assert any("going on from the checkpoint before it" in line for line in trainer.listener.lines)
    assert_same(trainer.folder(root / "whole"), reference, "a damaged checkpoint")
    last = max(at for at, (kind, path) in enumerate(trace, 1) if kind == "rename" and path.endswith("checkpoint.pt"))
    for number in range(1, last + 2):
        shutil.copytree(root / "begun", root / "killed")
        assert Child(train_quietly, trainer, root / "killed", strike=Strike(number)).wait() == -signal.SIGKILL
        trainer(root / "killed")
        what = f"newest checkpoint damaged, then killed at operation {number}: {trainer.listener.lines}"
        assert trainer.outcome.finished == 1, what
        assert_same(trainer.folder(root / "killed"), reference, what)
        shutil.rmtree(root / "killed")
    return last + 1


def kill_at_random(root: Path, kills: int, seed: int) -> int:
    """Kill runs, also those that go on, at random instants, `kills` times or a few more; return how many times."""
    trainer, draw = Trainer(), random.Random(seed)
    trainer(root / "reference")
    begun = time.monotonic()
    assert Child(train_quietly, trainer, root / "timed").wait() == 0
    length = time.monotonic() - begun
    done = 0
    while done < kills:
        results = root / "killed"
        # Some starts must last: what is killed before its first epoch each time gets nowhere.
        for _ in range(5):
            child = Child(train_quietly, trainer, results)
            time.sleep(draw.uniform(0, length))
            child.kill()
            if child.wait() == 0:
                break
            done += 1
        trainer(results)
        what = f"after {done} kills"
        assert trainer.outcome.finished == 1, f"{what}: {trainer.listener.lines}"
        assert_same(trainer.folder(results), trainer.folder(root / "reference"), what)
        shutil.rmtree(results)
    return done


def stop_after_every_step(root: Path) -> int:
    """Stop a run by signal after each of its steps and let it go on."""
    trainer = Trainer()
    trainer(root / "reference")
    total = 2 * STEPS
    for step in range(1, total + 1):
        results = root / f"stopped-{step}"
        number = (signal.SIGTERM, signal.SIGINT)[step % 2]
        stop_in_epoch(trainer, 1, after=step, number=number)
        trainer(results)
        trained: list[int] = []
        trainer.listener.step = trained.append
        folder, (epochs, steps) = trainer.folder(results), divmod(step, STEPS)
        if step < total:
            place = f"epoch {epochs}" + (f", step {steps}" if steps else "")
            line = f"separable trial-00: {wording.stopped(place, number.name)}"
            assert line in trainer.listener.lines, trainer.listener.lines
            assert trainer.outcome.stopped and read_record(folder)["status"] == "interrupted"
            trainer(results)
        assert len(trained) == total - step, f"stopped after step {step}, {trained} were left"
        assert_same(folder, trainer.folder(root / "reference"), f"stopped after step {step}")
    return total


def what_the_dead_left_is_removed(root: Path) -> None:
    trainer = Trainer()
    stop_in_epoch(trainer, 1, after=2)
    trainer(root)
    left = trainer.folder(root) / ".writing-predictions.npz"
    left.write_bytes(b"half")
    stop_in_epoch(trainer, 1, after=1)
    trainer(root)
    assert trainer.outcome.stopped and not left.exists()


def renamed_only_when_flushed(root: Path) -> None:
    trainer = Trainer()
    flushed: set[str] = set()
    renames = 0
    trace = trainer(root).trace
    for at, (kind, path) in enumerate(trace):
        if kind == "write":
            flushed.discard(path)
        elif kind == "flush":
            flushed.add(path)
        elif kind == "rename" and ".writing-" in path:
            renames += 1
            assert path in flushed, f"operation {at + 1}: {path} is renamed before it is on the disk"
            assert trace[at + 1] == ("flush", os.path.dirname(path)), f"operation {at + 1}: {path} is not made durable"
    assert renames >= 10
    assert {path for kind, path in trace if kind == "make"} == {
        path for _, path in trace if ".writing-" in path or path.endswith(".lock") or "tfevents" in path
    }, "a file is made in its place"


def commands_end_with_their_status(root: Path) -> None:
    """The statuses that a script sees, of the command itself."""

    def send(number: int, times: int = 1) -> None:
        for _ in range(times):
            os.kill(os.getpid(), number)

    def said(status: int, *arguments: str, on_step=None) -> str:
        child = Child(command, f"results={root}", *arguments, on_step=on_step)
        found = child.wait()
        assert found == status, f"status {found} instead of {status}: {child.said}"
        assert "Traceback" not in child.said, child.said
        return child.said

    line = wording.stopped("epoch 0, step 2", "{}")
    for name in ("SIGTERM", "SIGINT"):
        number = getattr(signal, name)
        text = said(75, f"study={name}", on_step=lambda done, number=number: done == 2 and send(number))
        assert line.format(name) in text
    # A scheduler may send it twice; a person who presses twice has had enough.
    assert line.format("SIGTERM") in said(75, "study=twice", on_step=lambda done: done == 2 and send(signal.SIGTERM, 2))
    assert "stopped" not in said(-signal.SIGINT, "study=int", on_step=lambda done: done == 2 and send(signal.SIGINT, 2))
    # An epoch that takes longer than the limit: the time is up in the middle of it, and two starts are enough.
    limited = ("study=time", "schedule.epochs=1")
    text = said(75, *limited, "max_minutes=0.08", on_step=lambda done: time.sleep(2))
    assert any(wording.stopped(f"epoch 0, step {number}", "max_minutes") in text for number in (1, 2, 3)), text
    said(0, *limited, "max_minutes=1", on_step=lambda done: time.sleep(0.1))
    for name in ("SIGTERM", "SIGINT", "twice", "int"):
        said(0, f"study={name}")
        folder = root / "runs" / name / "separable" / "trial-00"
        assert files(folder) == sorted(FILES)
        first = root / "runs/SIGTERM/separable/trial-00"
        assert (folder / "predictions.npz").read_bytes() == (first / "predictions.npz").read_bytes()


def a_sweep_ends_with_its_status(root: Path) -> None:
    """A signal in the last step of a job, and one between two jobs: the jobs that were not begun are not forgotten."""
    from hybridsep import run

    arguments = ("-m", "model=separable,resnext", f"results={root}")
    steps, jobs, job = iter(range(1, 100)), iter(range(1, 100)), run.job

    def signalled(config) -> None:
        if next(jobs) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        job(config)

    def between() -> None:
        run.job = signalled
        command(*arguments, "study=between")

    last = {"on_step": lambda done: next(steps) == 2 * STEPS and os.kill(os.getpid(), signal.SIGTERM)}
    for name, child in {"last": Child(command, *arguments, "study=last", **last), "between": Child(between)}.items():
        assert child.wait() == 75, f"{name}: {child.said}"
        assert wording.finished("separable trial-00") in child.said, f"{name}: {child.said}"
        assert f"{wording.jobs(1, 2, stopped=True)} (SIGTERM; " in child.said, f"{name}: {child.said}"
        child = Child(command, *arguments, f"study={name}")
        assert child.wait() == 0 and wording.finished("resnext trial-00") in child.said, f"{name}: {child.said}"


def nobody_reads_what_is_said(root: Path) -> None:
    def silent(kind: str) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer if kind == "pipe" else os.open("/dev/full", os.O_WRONLY), 2)
        command(f"results={root}", f"study={kind}")

    for kind in ("pipe", "full"):
        assert Child(silent, kind).wait() == 0
        assert read_record(root / "runs" / kind / "separable" / "trial-00")["status"] == "finished"


@pytest.mark.parametrize(
    "case",
    [
        kill_at_every_operation,
        kill_while_a_damaged_checkpoint_is_replaced,
        stop_after_every_step,
        what_the_dead_left_is_removed,
        renamed_only_when_flushed,
        commands_end_with_their_status,
        a_sweep_ends_with_its_status,
        nobody_reads_what_is_said,
    ],
    ids=lambda case: case.__name__,
)
def test_same_bits_after(tmp_path, case):
    clean(case, tmp_path)


def test_same_bits_after_random_kills(tmp_path):
    clean(kill_at_random, tmp_path, 50, 0)


def test_a_real_process_stops_and_goes_on(tmp_path):
    arguments = [sys.executable, "-m", "hybridsep.run", *SMALL, f"results={tmp_path}", "schedule.epochs=2000"]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    # What is worth knowing of the machine, such as its precision, comes first.
    said = next((line for line in process.stderr if ": training " in line), "")
    assert f"{wording.TRAINING_TO} 2000" in said, said
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 75 and f"(SIGTERM); {wording.GOES_ON}" in said, said
    folder = tmp_path / "runs/s/separable/trial-00"
    assert read_record(folder)["status"] == "interrupted" and (folder / "checkpoint.pt").exists()
