"""Let trainings die in every way for some minutes, and hold what comes out against runs that nobody disturbed.

    python scripts/soak.py [TIMES]     TIMES (1) multiplies what is drawn at random: instants, turned bytes, cases

Prints a line for each way with the number of cases, and stops with status 1 at the first that ends wrong. The short
form of everything here is in the tests; docs/promises.md says what is promised.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "faults")]
# As in the tests: a shell lets its background jobs ignore Ctrl-C, which their children would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

import fault_injection  # noqa: E402
import test_bad_disks  # noqa: E402
import test_kills  # noqa: E402
import test_two_at_once  # noqa: E402
from same_bits import assert_same  # noqa: E402


def kill_real_processes(root: Path, kills: int, seed: int) -> int:
    """Kill `python -m hybridsep.run` at random instants of its training, and let it go on, until it is done."""
    longer = "schedule.epochs=300"
    trainer, draw = fault_injection.Trainer(longer), random.Random(seed)
    trainer(root / "reference")
    arguments = [sys.executable, "-m", "hybridsep.run", *fault_injection.SMALL, longer, f"results={root / 'killed'}"]
    done = 0
    while True:
        process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
        line = process.stderr.readline()
        assert "training" in line or "already finished" in line, line
        if done < kills:
            time.sleep(draw.uniform(0, 0.6))
            process.kill()
        process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, process.returncode
        done += 1
    assert_same(trainer.folder(root / "killed"), trainer.folder(root / "reference"), f"{done} real processes killed")
    return done


def fill_a_real_disk(root: Path, step: int) -> int:
    """Train on file systems in memory, each too small until it is enlarged; 0 sizes without the right to mount."""
    trainer = fault_injection.Trainer()
    trainer(root / "reference")
    reference, tried, finished = trainer.folder(root / "reference"), 0, False
    place = root / "disk"
    place.mkdir()
    for size in range(4096, 1 << 22, step):
        mount = ["mount", "-t", "tmpfs", "-o"]
        if subprocess.run([*mount, f"size={size}", "tmpfs", str(place)], capture_output=True).returncode:
            return 0
        try:
            trainer(place)
            finished = bool(trainer.outcome.finished)
            assert finished or any("No space left" in line for line in trainer.listener.lines), trainer.listener.lines
            subprocess.run([*mount, "remount,size=16m", "tmpfs", str(place)], check=True)
            trainer(place)
            assert_same(trainer.folder(place), reference, f"a disk of {size} bytes, then enlarged")
        finally:
            subprocess.run(["umount", str(place)], check=True)
        if finished:
            return tried
        tried += 1
    raise AssertionError("no size was enough")


def launch_with_joblib(root: Path) -> int:
    """Train a sweep in joblib's processes, twice at once; counts trials, 0 when the launcher is not installed."""
    try:
        metadata.version("hydra-joblib-launcher")
    except metadata.PackageNotFoundError:
        return 0
    trainer = fault_injection.Trainer()
    trainer(root / "alone", trials=range(3))
    arguments = [sys.executable, "-m", "hybridsep.run", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    arguments += [*fault_injection.SMALL, "trial=0,1,2", f"results={root / 'together'}"]
    started = [subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(process.communicate()[1] for process in started)
    assert [process.returncode for process in started] == [0, 0], said
    for trial in range(3):
        assert said.count(f"trial-{trial:02d}: training to epoch") == 1, said
        assert_same(trainer.folder(root / "together", trial), trainer.folder(root / "alone", trial), "joblib")
    return 3


def hostile(root: Path, times: int) -> int:
    """Run the tests of hostile input with more cases; return the multiple."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={root}"]
    files = [str(TESTS / "faults/test_hostile_folders.py"), str(TESTS / "faults/test_hostile_arguments.py")]
    ended = subprocess.run([*command, *files], env={**os.environ, "HYBRIDSEP_SOAK": str(times)}, capture_output=True)
    assert ended.returncode == 0, ended.stdout.decode()[-3000:]
    return times


def measured(root: Path, case: Callable[..., int | None], *arguments: object) -> None:
    number = case(root, *arguments)
    (root / "cases").write_text(str(number if number is not None else 1))


def ways(times: int) -> list[tuple[str, str, Callable[..., int | None], tuple[object, ...]]]:
    """Return name, what is counted, function and arguments of every way."""
    return [
        ("killed at every file operation", "kills", test_kills.kill_at_every_operation, ("schedule.epochs=3",)),
        ("killed at random instants", "kills", test_kills.kill_at_random, (200 * times, times)),
        ("real processes killed", "kills", kill_real_processes, (4 * times, times)),
        ("damaged, then killed", "kills", test_kills.kill_while_a_damaged_checkpoint_is_replaced, ()),
        ("stopped after every step", "stops", test_kills.stop_after_every_step, ()),
        ("exit statuses", "set", test_kills.commands_end_with_their_status, ()),
        ("nobody listens", "set", test_kills.nobody_reads_what_is_said, ()),
        ("disk fails at every operation", "failures", test_bad_disks.fail_at_every_operation, (1,)),
        ("a real disk is full", "sizes", fill_a_real_disk, (8192,)),
        ("half a copy", "copies", test_bad_disks.half_a_copy, ()),
        ("checkpoints cut and turned", "files", test_bad_disks.damage_a_checkpoint, (3000 * times,)),
        ("2 processes at once", "set", test_two_at_once.every_trial_is_trained_once, (2, 6)),
        ("4 processes at once", "set", test_two_at_once.every_trial_is_trained_once, (4, 6)),
        ("joblib's processes", "trials", launch_with_joblib, ()),
        ("the dead hold nothing", "set", test_two_at_once.the_dead_hold_nothing, ()),
        ("read while written", "set", test_two_at_once.read_while_written, ()),
        ("hostile input", "times the cases of the tests", hostile, (4 * times,)),
    ]


def main(times: int) -> None:
    for name, unit, case, arguments in ways(times):
        root, begun = Path(tempfile.mkdtemp(prefix="soak-")), time.monotonic()
        try:
            fault_injection.clean(measured, root, case, *arguments)
            number = (root / "cases").read_text()
            print(f"{name:<32} {number:>6} {unit}, {time.monotonic() - begun:.0f} s", flush=True)
        finally:
            shutil.rmtree(root)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
