"""The state of a command in one process: its stop requests, what shows its progress, and its jobs."""

from pathlib import Path
from typing import TYPE_CHECKING

from hybridsep.runs.progress import Monitor, monitor
from hybridsep.runs.stop import Stop

if TYPE_CHECKING:
    from hybridsep.launch.jobs import Job


class Command:
    """What the jobs of one process share: the process that a person started, or a launcher's worker.

    `jobs`: those of its sweep, or the one that was done in this process. `sweep`: the folder of a sweep that this
    process began and whose jobs run in others. `lost`: why jobs have no end, where that is known.
    """

    def __init__(self, stop: Stop | None = None):
        self.stop = stop or Stop()
        self.jobs: list[Job] = []
        self.errors: list[str] = []  # what is to be mended, and belongs to none of the jobs
        self.under_way: Job | None = None  # of a sweep in this process
        self.sweep: Path | None = None
        self.lost = ""
        self._monitor: Monitor | None = None

    @property
    def monitor(self) -> Monitor:
        """What shows progress, one for all jobs in a row; made when first asked for."""
        if self._monitor is None:
            # Bars beside a launcher's workers would know of no trial, and break up the workers' lines.
            self._monitor = monitor() if self.sweep is None else Monitor()
        return self._monitor

    def close(self) -> None:
        """End what shows progress; the next use makes a new one."""
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None


# Hydra makes its sweepers and launchers itself, from names in YAML, and a launcher's worker process starts with nothing
# but the function to call: this is where they find the command.
_here: Command | None = None


def begin(stop: Stop) -> Command:
    """Make and return the command of this process."""
    global _here
    _here = Command(stop)
    return _here


def here() -> Command:
    """Return the command of this process; in a launcher's worker the first call makes it, and its time begins."""
    return begin(Stop()) if _here is None else _here
