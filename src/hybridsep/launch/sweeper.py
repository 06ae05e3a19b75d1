"""Hydra's sweep as our jobs: one after another in this process, or by a launcher, begun again when workers died.

Finished trials are skipped, so a launcher is simply called again with the jobs that still have something to do.
"""

import contextlib
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hybridsep.errors import ConfigError, UserError
from hybridsep.launch.command import Command, here
from hybridsep.launch.explain import explain
from hybridsep.launch.jobs import Job, JobError, compose
from hybridsep.launch.resolvers import BASIC
from hybridsep.runs import stop as stops
from hybridsep.runs.record import State
from hybridsep.runs.stop import Stop, Stopped

_TIMES = 3  # a job that was in progress when workers died is begun so often: twice beside others, then alone


class LostJobError(Exception):
    """A launcher's job ended without a result; the message is the path of its log."""


class JobSweeper(Sweeper):
    """Does what Hydra's basic sweeper does, but writes no files of its own, and a stop request ends it at once.

    `params`: what an experiment's file sweeps over. Not its subclass: Hydra loads the modules of its plugins anew.
    """

    hydra_context: HydraContext
    config: DictConfig
    launcher: Launcher

    def __init__(self, params: dict[str, str] | None = None):
        self._params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep Hydra's context and make the launcher."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Do the jobs of the command line; how each ended is in the command's list of jobs."""
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        fixed = [f"{key}={value}" for key, value in self._params.items()]
        command, loader = here(), self.hydra_context.config_loader
        overrides = OverridesParser.create(config_loader=loader).parse_overrides([*fixed, *arguments])
        jobs = compose(loader, self.config, BasicSweeper.split_arguments(overrides, None)[0])
        if not jobs:
            raise ConfigError("-m names no job: a glob(...) of this command line matches nothing")
        command.stop.limit(jobs[0].config.max_minutes)
        in_process = self.config.hydra.launcher._target_ == BASIC
        from hybridsep.train import build  # torch takes seconds, and a mistyped value should be answered at once

        with build.one_dataset_kept():
            with contextlib.suppress(Stopped):  # while it waited for another process; then no job is begun
                prepare_studies(jobs)
            command.jobs = jobs
            if in_process:
                self._do_here(command)
        if not in_process:
            self._do_elsewhere(command)
        return []

    def _do_here(self, command: Command) -> None:
        for number, job in enumerate(command.jobs):
            if command.stop.due():
                return
            command.under_way = job
            [returned] = self._launch([job], command.stop, first=number)
            _take(job, returned)

    def _do_elsewhere(self, command: Command) -> None:
        folder = Path(self.config.hydra.sweep.dir)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stops.announce(folder / stops.FILE, "", seconds_left=command.stop.seconds_left())
        except OSError as error:
            raise ConfigError(f"results= cannot be written: {error}") from None
        command.close()
        command.sweep = folder
        command.monitor.say(f"{len(command.jobs)} jobs; what each says: {folder}")
        todo, deaths, silent = command.jobs, Counter[int](), 0
        while todo:
            try:
                with self._shared(command.stop, folder / stops.FILE):
                    for job, returned in zip(todo, self._launch(todo, command.stop), strict=False):
                        _take(job, returned)
                break
            except Exception as error:
                reason = self._death(error, command, folder)
            if command.stop.due() or not reason:
                break
            for job in command.jobs:
                job.look()
            killed = [job for job in todo if job.that_are(State.KILLED)]
            deaths.update(id(job) for job in killed)
            silent = 0 if killed else silent + 1
            left = [job for job in command.jobs if job.left]
            todo = [job for job in left if deaths[id(job)] < _TIMES - 1]
            todo = todo or [job for job in left if deaths[id(job)] < _TIMES][:1]
            if silent == _TIMES or not todo:
                break
            during = "; ".join(job.name for job in killed) or "no trial"
            command.monitor.say(f"a worker died ({reason}) during {during}: going on")
        for job in command.jobs:
            job.log = job.log or str(folder / job.log_name)

    def _launch(self, jobs: Sequence[Job], stop: Stop, *, first: int = 0) -> Sequence[JobReturn]:
        returned: Sequence[JobReturn] = self.launcher.launch(_UntilStopped(jobs, stop), initial_job_idx=first)
        return returned

    def _death(self, error: Exception, command: Command, folder: Path) -> str:
        """Return why joblib's or Ray's worker processes died, "" when they are not to be begun again.

        Raises `error`, or a clearer one, when it says something else.
        """
        if type(error).__name__ == "TimeoutError" and "joblib" in type(self.launcher).__module__:
            limit = f"hydra.launcher.timeout={self.config.hydra.launcher.timeout}"
            command.lost = f"a job took longer than {limit} seconds, and joblib ended all of its workers"
            return ""
        if isinstance(error, BrokenProcessPool) or type(error).__module__.startswith("ray.exceptions"):
            if "ray" in sys.modules:
                sys.modules["ray"].shutdown()  # with what still runs of this attempt
            text = " ".join(str(error).split())
            return "SIGKILL, perhaps for want of memory" if "SIGKILL" in text else text[:120]
        if not isinstance(error, UserError) and not any(folder.glob("*.log")):
            text = " ".join(str(error).split())
            raise ConfigError(f"hydra/launcher: no job was begun: {type(error).__name__}: {text[:300]}") from None
        raise error

    @contextlib.contextmanager
    def _shared(self, stop: Stop, file: Path) -> Iterator[None]:
        """Meanwhile, let the processes of a sweep share their stop requests: a scheduler may tell this one only."""
        over = threading.Event()
        # A job of Slurm is Slurm's to end, when the command no longer waits for it too.
        stays = getattr(self.launcher, "LEAVES_ITS_JOBS", False)

        def watch() -> None:
            while not over.wait(0.5):
                stop.request(stops.announced(file))
                if stop.due() and (not stays or stop.reason == stops.MAX_MINUTES):
                    with contextlib.suppress(OSError):
                        stops.announce(file, stop.reason)
                        return

        watcher = threading.Thread(target=watch, name="share stop requests", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


class _UntilStopped(list[list[str]]):
    """The overrides of jobs, whose iteration ends with a stop request: launchers compose and hand out one by one."""

    def __init__(self, jobs: Sequence[Job], stop: Stop):
        super().__init__(job.overrides for job in jobs)
        self._stop = stop

    def __iter__(self) -> Iterator[list[str]]:
        for overrides in super().__iter__():
            if self._stop.due():
                return
            yield overrides


def prepare_studies(jobs: Sequence[Job]) -> None:
    """Load each dataset once, so that what is wrong with it is said once; then write down what is asked of each study.

    Raises ConfigError, DataError and RecordError; after one of the first two no study has been touched.
    """
    from hybridsep.runs import asked
    from hybridsep.train import build

    studies: dict[Path, dict[str, list[int]]] = {}
    for job in jobs:
        if job.trials:
            build.dataset(job.config)
            studies.setdefault(job.study, {}).setdefault(job.config.row, []).extend(job.trials)
    for study, rows in studies.items():
        try:
            asked.extend(study, rows)
        except OSError as error:
            raise ConfigError(f"results={study.parents[1]} cannot be written: {error}") from None


def _take(job: Job, returned: JobReturn) -> None:
    """Keep what a launcher returned of a job; how its trials ended is in their records."""
    if returned.status is JobStatus.FAILED:
        if isinstance(returned._return_value, LostJobError):
            job.log = str(returned._return_value)
        else:
            error = returned._return_value
            job.errors = str(error).splitlines() if isinstance(error, JobError) else [explain(error)]
    elif job.config.task == "speed" and returned._return_value:
        job.measured = True
