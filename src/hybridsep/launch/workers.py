"""A sweep whose jobs run in other processes: its folder, what each job tells there, and what is done about lost ones.

A launcher hands back what a job returned, but not of a job whose process was killed, and joblib then ends all of its
workers. So every job tells how it ended in a file of the sweep's folder, which all machines see: `plan.json` (the jobs,
and which are to be done), `job-0003.json` (begun, or how it ended), `job-0003.log` (what it said).
"""

import contextlib
import dataclasses
import io
import json
import os
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TextIO

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from hybridsep.errors import ConfigError, UserError
from hybridsep.launch.result import JobResult
from hybridsep.launch.sweep import BASIC, jobs, names
from hybridsep.runs import machine

_EXTRAS = {"hydra_joblib_launcher": "joblib", "launchers_of_hybridsep": "slurm", "hydra_ray_launcher": "ray"}
_TIMES = 3  # a job that was in progress when workers died is begun so often: twice beside others, then alone


@dataclasses.dataclass
class Sweep:
    """The folder and the jobs of a sweep in the process that launched it."""

    folder: Path
    names: list[str]

    def begin(self, todo: set[int]) -> None:
        """Write which jobs are to be done; the others return at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plan = {"jobs": self.names, "todo": sorted(todo)}
        _write(self.folder / "plan.json", plan)

    def told(self) -> dict[int, JobResult | int | None]:
        """Return how each job ended that has begun; of one that has not, its process, None on another machine."""
        found: dict[int, JobResult | int | None] = {}
        for number in range(len(self.names)):
            with contextlib.suppress(FileNotFoundError):
                content = json.loads(_note(self.folder, number).read_bytes())
                if "process" in content:
                    found[number] = content["process"] if content["machine"] == machine.node() else None
                else:
                    found[number] = JobResult(**content)
        return found

    def lost(self, number: int) -> JobResult:
        return JobResult(name=self.names[number], lost=True, log=str(_log(self.folder, number)))


class SweepCallback(Callback):
    """Hydra's callback: notes the folder and the jobs when a sweep with a launcher of its own processes begins."""

    sweep: Sweep | None = None
    todo: set[int] | None = None  # None: all
    unwritable: OSError | None = None
    say: Callable[[str], None] = print
    stopped: Callable[[], bool] = bool

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        launcher = config.hydra.launcher._target_
        if launcher == BASIC or launcher not in Plugins.instance().class_name_to_class:
            return
        sweep = Sweep(Path(config.hydra.sweep.dir), names(jobs(config.hydra)))
        try:
            sweep.begin(set(range(len(sweep.names))) if SweepCallback.todo is None else SweepCallback.todo)
        except OSError as error:  # Hydra would turn it into a warning, and meets the same next
            SweepCallback.unwritable = error
            return
        SweepCallback.sweep = sweep
        if SweepCallback.todo is None:
            SweepCallback.say(f"{len(sweep.names)} jobs; what each says, and how it ended: {sweep.folder}")


def launch(start: Callable[[], None], *, stopped: Callable[[], bool], say: Callable[[str], None]) -> list[JobResult]:
    """Call `start` (Hydra's main), and again for what is missing when workers died; return how the jobs ended.

    Empty when no launcher was used: then every job ran in this process. Raises ConfigError when the launcher cannot
    begin.
    """
    SweepCallback.sweep, SweepCallback.todo, SweepCallback.unwritable = None, None, None
    SweepCallback.say, SweepCallback.stopped = say, stopped
    ends: dict[int, JobResult] = {}
    deaths: Counter[int] = Counter()
    while True:
        died: Exception | None = None
        try:
            with _passed_on(stopped):
                start()
        except Exception as error:
            died = _workers_death(error)
        sweep = SweepCallback.sweep
        if sweep is None:
            return []
        told = sweep.told()
        ends |= {number: end for number, end in told.items() if isinstance(end, JobResult)}
        missing = [number for number in range(len(sweep.names)) if number not in ends]
        begun = [number for number in missing if number in told]
        deaths.update(begun)
        todo = [number for number in missing if deaths[number] < _TIMES - 1]
        todo = todo or [number for number in missing if deaths[number] < _TIMES][:1]
        if stopped() or died is None or not begun or not todo:
            rest = (lambda _: JobResult(stopped=True)) if stopped() else sweep.lost
            every = [ends.get(number) or rest(number) for number in range(len(sweep.names))]
            done = sum(end.done for end in every)
            say(f"{done} of {len(every)} jobs done{'; the same command goes on' if stopped() else ''}")
            return every
        say(f"a worker died ({_reason(died)}) during {'; '.join(sweep.names[number] for number in begun)}: going on")
        SweepCallback.sweep, SweepCallback.todo = None, set(todo)


def _workers_death(error: Exception) -> Exception:
    """Return `error` if it says that joblib's or Ray's worker processes died; raise it, or a clearer one, if not."""
    unknown = re.search(r"Unknown plugin class : 'hydra_plugins\.(\w+)\.", str(error))
    if unknown and unknown[1] in _EXTRAS:
        raise ConfigError(f"this launcher is not installed: pip install 'hybridsep[{_EXTRAS[unknown[1]]}]'") from None
    if isinstance(error, ValueError) and str(error).startswith("Only one of --run"):
        raise ConfigError("-m starts jobs, and --cfg and --info only show: give one of them") from None
    if isinstance(error, BrokenProcessPool) or type(error).__module__.startswith("ray.exceptions"):
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()  # with what still runs of this attempt
        return error
    if SweepCallback.unwritable is not None:
        raise ConfigError(f"results= cannot be written: {SweepCallback.unwritable}") from None
    if SweepCallback.sweep is not None and not SweepCallback.sweep.told() and not isinstance(error, UserError):
        text = " ".join(str(error).split())
        raise ConfigError(f"hydra/launcher: no job was begun: {type(error).__name__}: {text[:300]}") from None
    raise error


@contextlib.contextmanager
def _passed_on(stopped: Callable[[], bool]) -> Iterator[None]:
    """Meanwhile, pass a wish to stop on to the workers of this machine: a scheduler may tell the main process only."""
    over = threading.Event()

    def watch() -> None:
        passed: set[int] = set()
        while not over.wait(0.5):
            if stopped() and SweepCallback.sweep is not None:
                here = {told for told in SweepCallback.sweep.told().values() if isinstance(told, int)} - {os.getpid()}
                for process in here - passed:
                    with contextlib.suppress(OSError):
                        os.kill(process, signal.SIGTERM)
                passed |= here

    watcher = threading.Thread(target=watch, name="pass on the wish to stop", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return "SIGKILL, perhaps for want of memory" if "SIGKILL" in text else text[:120]


def tell(do: Callable[[], JobResult]) -> None:
    """Do a launcher's job in this worker process, if it is to be done, and tell in the sweep's folder how it ended."""
    hydra = HydraConfig.get()
    folder, number = Path(hydra.sweep.dir), hydra.job.num
    try:
        plan = json.loads((folder / "plan.json").read_bytes())
    except FileNotFoundError:
        raise ConfigError(
            f"a worker does not see {folder}: results= must be one folder for all jobs and machines"
        ) from None
    if number not in plan["todo"]:
        return
    # Ray starts its workers elsewhere, and results= and data_dir= are relative to where the command was typed.
    os.chdir(hydra.runtime.cwd)
    # A job of Slurm is Slurm's to end, also on this machine.
    node = "" if os.environ.get("SUBMITIT_EXECUTOR") == "slurm" else machine.node()
    _write(_note(folder, number), {"process": os.getpid(), "machine": node})
    with _copied(_log(folder, number)):
        end = do()
    end = dataclasses.replace(end, name=plan["jobs"][number], log=str(_log(folder, number)))
    _write(_note(folder, number), dataclasses.asdict(end))


def lose(folder: Path, number: int, log: Path) -> None:
    """Tell, in the launching process, that a job was lost, with its launcher's log, unless the job told."""
    note = _note(folder, number)
    if not note.exists() or "process" in json.loads(note.read_bytes()):
        plan = json.loads((folder / "plan.json").read_bytes())
        end = JobResult(name=plan["jobs"][number], lost=True, log=str(log))
        _write(note, dataclasses.asdict(end))


def _write(path: Path, content: dict[str, Any]) -> None:
    from hybridsep.runs.records import (
        write_atomically,  # imports NumPy, which a command that only asks need not wait for
    )

    write_atomically(path, json.dumps(content, indent=1).encode())


def _note(folder: Path, number: int) -> Path:
    return folder / f"job-{number:04d}.json"


def _log(folder: Path, number: int) -> Path:
    return folder / f"job-{number:04d}.log"


class _Both(io.TextIOBase):
    """Standard error and a file at once. It is no terminal, so a worker draws no bars over another's."""

    def __init__(self, screen: TextIO, file: TextIO):
        self._screen, self._file = screen, file

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        # A full disk or a closed terminal ends what is said, not what is trained.
        for stream in (self._screen, self._file):
            with contextlib.suppress(OSError, ValueError):
                stream.write(text)
                stream.flush()
        return len(text)


@contextlib.contextmanager
def _copied(path: Path) -> Iterator[None]:
    """Copy what Python says on standard error to `path`, which a job that goes on continues."""
    with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
        screen = sys.stderr
        with contextlib.redirect_stderr(_Both(screen, file)):
            yield
