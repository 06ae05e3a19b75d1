"""One job of a command done in this process: the trials of one row trained, or its speed measured."""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from hybridsep.config import Config, parse_trials, resolve
from hybridsep.errors import ConfigError, UserError
from hybridsep.launch.command import Command, here
from hybridsep.launch.explain import explain
from hybridsep.launch.jobs import Job, JobError, as_typed, check_choices
from hybridsep.launch.resolvers import BASIC
from hybridsep.runs.progress import Monitor
from hybridsep.runs.stop import FAIL_FAST, FILE, NEW_PROCESS, ORPHANED, Stop, Stopped, announce
from hybridsep.streams import Unbreakable

Measure = Callable[[Config, Monitor, Stop], bool]  # returns whether it came to its end


def run_job(composed: DictConfig, *, measure: Measure) -> float:
    """Do the job that Hydra composed, here or in a launcher's worker process.

    Returns the mean test error of its trials in percent, which sweepers that search want, and not-a-number when they
    are not all finished. Raises UserError in a worker process only: else what is wrong is in the command.
    """
    command, hydra = here(), HydraConfig.get()
    in_a_worker = hydra.launcher._target_ != BASIC and hydra.mode == RunMode.MULTIRUN
    # results= and data_dir= are relative to where the command was typed: Ray starts its workers elsewhere, and
    # hydra.job.chdir=true changes the folder for each job.
    os.chdir(hydra.runtime.cwd)
    try:
        job = command.under_way or _job(composed)
    except UserError as error:
        if in_a_worker:
            raise
        command.errors.append(explain(error))
        return math.nan
    if in_a_worker:
        with _in_a_worker(job, command):
            _do(job, command, measure)
        if job.errors:
            raise JobError("\n".join(job.errors))
        return job.test_error() if job.trials else float(job.measured)
    if command.under_way is None:
        command.jobs.append(job)
    _do(job, command, measure)
    return job.test_error()


def _job(composed: DictConfig) -> Job:
    """Return the job that Hydra composed. Raises ConfigError."""
    hydra = HydraConfig.get()
    if hydra.launcher._target_ != BASIC and hydra.mode != RunMode.MULTIRUN:
        name = hydra.runtime.choices["hydra/launcher"]
        raise ConfigError(f"hydra/launcher={name} starts the jobs of a sweep: add -m")
    check_choices(hydra.runtime.choices)
    config = resolve(composed, as_typed(hydra.overrides.task))
    return Job(config, [] if config.task == "speed" else parse_trials(config.trial))


def _do(job: Job, command: Command, measure: Measure) -> None:
    config, stop = job.config, command.stop
    try:
        with stop:
            if command.sweep is None:
                stop.limit(config.max_minutes)
            if stop.reason:
                command.monitor.say(f"{config.row}: not begun ({stop.reason}); the same command goes on")
            elif config.task == "speed":
                job.measured = measure(config, command.monitor, stop)
            else:
                # Torch takes seconds, and a mistyped value should be answered at once.
                from hybridsep.train.row import train_row

                command.monitor.begin_study(sum(len(each.trials) for each in command.jobs) or len(job.trials))
                job.errors += train_row(config, job.trials, monitor=command.monitor, stop=stop)
    except Stopped as reason:
        command.monitor.say(f"{config.row}: not begun ({reason}); the same command goes on")
    except Exception as error:
        # A trial keeps its failure to itself: this was raised before one began, or is the machine's.
        job.errors.append(explain(error))
    if job.errors and config.fail_fast:
        stop.request(FAIL_FAST)


@contextlib.contextmanager
def _in_a_worker(job: Job, command: Command) -> Iterator[None]:
    """Meanwhile, follow the stop requests of the sweep, and copy what is said into a log in its folder."""
    hydra = HydraConfig.get()
    folder = Path(hydra.sweep.dir)
    if not folder.is_dir():
        raise ConfigError(f"a worker does not see {folder}: results= must be one folder for all jobs and machines")
    if command.sweep is None:
        # joblib's workers are children of the command, and nobody would see them after a `kill -9` of it.
        command.stop.follow(folder / FILE, parent="joblib" in hydra.launcher._target_)
        command.stop.due()  # looks into the file
    command.close()  # a worker's trials are counted each job for itself
    try:
        with _copied(folder / job.log_name):
            yield
    finally:
        command.close()
        if command.stop.reason == ORPHANED:
            os._exit(75)  # all is saved, and joblib would wait five minutes for another job
        if command.stop.reason in (FAIL_FAST, NEW_PROCESS):
            with contextlib.suppress(OSError):  # another worker writes the same at the same time
                announce(folder / FILE, command.stop.reason)


@contextlib.contextmanager
def _copied(path: Path) -> Iterator[None]:
    """Copy what Python says on standard error to `path`, which a job that goes on continues.

    Two streams are no terminal, so a worker draws no bars over another's.
    """
    with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
        with contextlib.redirect_stderr(Unbreakable(sys.stderr, file)):
            yield
