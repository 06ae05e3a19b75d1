"""A sweep whose jobs run in other processes: its folder, and what each job reports there.

A launcher hands back what a job returned, but not of a job whose process was killed, and joblib then ends all of its
workers. So every job reports how it ended in a file of the sweep's folder, which all machines see: `plan.json` (the
jobs, and which are to be done), `job-0003.json` (begun, or how it ended), `job-0003.log` (what it said), `ended.json`
(a failure that ends the sweep).
"""

import contextlib
import dataclasses
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from hybridsep.errors import ConfigError
from hybridsep.launch.result import JobResult
from hybridsep.launch.sweep import BASIC, jobs, names
from hybridsep.runs import machine


@dataclasses.dataclass
class SweepFolder:
    """The folder and the jobs of a sweep in the process that launched it."""

    folder: Path
    names: list[str]

    @classmethod
    def of(cls, config: DictConfig) -> "SweepFolder | None":
        """Return the sweep that `config` begins; None when its jobs run in this process, or cannot run at all."""
        launcher = config.hydra.launcher._target_
        if launcher == BASIC or launcher not in Plugins.instance().class_name_to_class:
            return None
        return cls(Path(config.hydra.sweep.dir), names(jobs(config.hydra)))

    def begin(self, todo: set[int]) -> None:
        """Write which jobs are to be done; the others return at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plan = {"jobs": self.names, "todo": sorted(todo)}
        _write(self.folder / "plan.json", plan)

    def read_results(self) -> dict[int, JobResult | int | None]:
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

    def ended(self) -> bool:
        """Return whether a job's failure ended the sweep (fail_fast=true)."""
        return _ended(self.folder).exists()

    def lost(self, number: int) -> JobResult:
        return JobResult(name=self.names[number], lost=True, log=str(_log(self.folder, number)))


def report_result(do: Callable[[], JobResult]) -> None:
    """Do a launcher's job in this process, if it is to be done, and report in the sweep's folder how it ended."""
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
    if _ended(folder).exists():
        _write(_note(folder, number), dataclasses.asdict(JobResult(name=plan["jobs"][number], stopped=True)))
        return
    # A job of Slurm is Slurm's to end, also on this machine.
    node = "" if os.environ.get("SUBMITIT_EXECUTOR") == "slurm" else machine.node()
    _write(_note(folder, number), {"process": os.getpid(), "machine": node})
    with _copied(_log(folder, number)):
        result = do()
    result = dataclasses.replace(result, name=plan["jobs"][number], log=str(_log(folder, number)))
    if result.ends_sweep:
        _write(_ended(folder), {"by": result.name})
    _write(_note(folder, number), dataclasses.asdict(result))


def mark_lost(folder: Path, number: int, log: Path) -> None:
    """Note, in the launching process, that a job was lost, with its launcher's log, unless the job reported its end."""
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


def _ended(folder: Path) -> Path:
    return folder / "ended.json"


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
