"""The state of a command in one process: what shows it, the wish to stop, how its jobs ended, the sweep under way."""

import contextlib
from pathlib import Path

from omegaconf import DictConfig

from hybridsep.errors import RecordError
from hybridsep.launch.result import JobResult
from hybridsep.launch.sweep import asked, jobs
from hybridsep.launch.sweep_folder import SweepFolder
from hybridsep.runs.progress import Lines, Monitor, monitor
from hybridsep.runs.stop import Stop, Stopped


class Command:
    """What the jobs of one process share: the process that a person started, or a launcher's worker."""

    def __init__(self, stop: Stop | None = None):
        self.stop = stop or Stop()
        self.results: list[JobResult] = []  # of the jobs that ran here and not in a launcher's sweep
        self.sweep: SweepFolder | None = None  # the launcher's sweep that this process began
        self.todo: set[int] | None = None  # which jobs of it are to be done; None: all
        self.unwritable: OSError | None = None
        self.jobs: int | None = None  # of a sweep, also one whose jobs run here
        self.trials: int | None = None  # of all of these jobs, where each of them is right
        self._monitor: Monitor | None = None

    @property
    def monitor(self) -> Monitor:
        """What shows progress, one for all jobs in a row; made when first asked for."""
        if self._monitor is None:
            # Bars beside a launcher's workers would know of no trial, and break up the workers' lines.
            self._monitor = monitor() if self.sweep is None else Lines()
        return self._monitor

    def close(self) -> None:
        """End what shows progress; the next use makes a new one."""
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None

    def begin_sweep(self, config: DictConfig) -> None:
        """Write down what a sweep is to do; Hydra's callback forwards to this."""
        overrides = jobs(config.hydra)
        self.jobs = len(overrides)
        if not overrides:
            return
        if self.todo is None:
            self.stop.limit(config.max_minutes)
            self._extend_plans(config, overrides)
        sweep = SweepFolder.of(config)
        if sweep is None:
            return
        try:
            sweep.begin(set(range(len(sweep.names))) if self.todo is None else self.todo)
        except OSError as error:  # Hydra would turn it into a warning, and meets the same next
            self.unwritable = error
            return
        self.close()
        self.sweep = sweep
        if self.todo is None:
            self.monitor.say(f"{len(sweep.names)} jobs; what each says, and how it ended: {sweep.folder}")

    def _extend_plans(self, config: DictConfig, overrides: list[list[str]]) -> None:
        """Add the rows and trials of all jobs to the plans of their studies, which `status` reads."""
        from hybridsep.runs import asked as asked_file  # import NumPy, which a command that only asks need not wait for
        from hybridsep.runs import records

        plans: dict[Path, dict[str, list[int]]] = {}
        try:
            found = asked(config, overrides)
            for job, trials in found:
                if job.task == "train":
                    rows = plans.setdefault(records.study_folder(Path(job.results), job.study), {})
                    rows[job.row] = [*rows.get(job.row, []), *trials]
        except Exception:
            return  # a job that is wrong says so itself, and then there is no sweep to write down
        self.trials = sum(len(trials) for _, trials in found)
        for study, rows in plans.items():
            with contextlib.suppress(OSError, RecordError, Stopped):  # the first job meets the same, and says it
                asked_file.extend(study, rows)


# Hydra makes its callbacks and launchers itself, from names in YAML, and a launcher's worker process starts with
# nothing but the function to call: this is where they find the command.
_here: Command | None = None


def begin(stop: Stop) -> Command:
    """Make and return the command of this process."""
    global _here
    _here = Command(stop)
    return _here


def here() -> Command:
    """Return the command of this process; in a launcher's worker the first call makes it, and its time begins."""
    return begin(Stop()) if _here is None else _here
