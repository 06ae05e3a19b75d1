"""One job of a command: the trials of one row trained, or its speed measured, and how that ended."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from hybridsep import config as configuration
from hybridsep.errors import UserError
from hybridsep.launch import sweep
from hybridsep.launch.command import Command, here
from hybridsep.launch.explain import explain
from hybridsep.launch.result import JobResult
from hybridsep.launch.sweep_folder import report_result
from hybridsep.runs.progress import Monitor
from hybridsep.runs.stop import FAIL_FAST, Stop, Stopped


class RowResult(Protocol):
    """How the trials of a row ended; those that failed or diverged by their labels, `separable trial-03`."""

    finished: int
    skipped: int
    stopped: bool
    errors: list[str]
    failed: list[str]
    diverged: list[str]


# Each imports what it needs when it is called: torch takes seconds, and a mistyped value should be answered at once.
Train = Callable[[DictConfig, list[int], Monitor, Stop], RowResult]
Measure = Callable[[DictConfig, Monitor, Stop], bool]  # returns whether it was stopped


def run_job(config: DictConfig, *, train: Train, measure: Measure) -> float | None:
    """Do the job that Hydra composed, here or in a launcher's worker process, and keep or report how it ended.

    Returns the test error, the mean of its trials, which a sweeper may look for the least of; None unless all finished.
    """
    command = here()
    # results= and data_dir= are relative to where the command was typed; hydra.job.chdir=true and Ray are elsewhere.
    os.chdir(HydraConfig.get().runtime.cwd)
    if wrong := sweep.refused(config):
        command.results.append(JobResult(errors=[wrong]))
    elif sweep.uses_launcher():
        # A worker, or what joblib takes for its only one: this process. A worker's jobs are counted each for itself.
        command.close()
        report_result(lambda: _do(config, command, train, measure, planned=len))
    else:
        command.results.append(
            _do(config, command, train, measure, planned=lambda trials: command.trials or len(trials))
        )
    return _test_error(config)


def _test_error(config: DictConfig) -> float | None:
    from hybridsep.runs import records

    try:
        checked = configuration.resolve(config)
        folders = [
            records.run_folder(Path(checked.results), checked.study, checked.row, trial)
            for trial in configuration.parse_trials(checked.trial)
        ]
        errors = [float(records.read(folder)["result"]["test_error"]) for folder in folders]
    except (UserError, TypeError):
        return None  # how the job ended says why
    return sum(errors) / len(errors)


def _do(
    config: DictConfig, command: Command, train: Train, measure: Measure, *, planned: Callable[[list[int]], int]
) -> JobResult:
    """Do the job. Nothing is raised but what ends a process: what goes wrong is in the answer.

    `planned`: trials of this job -> trials of all that is shown as one progress.
    """
    result = JobResult()
    try:
        trials = configuration.parse_trials(config.trial)
        checked = configuration.resolve(config)
        stop = command.stop
        stop.limit(config.max_minutes)
        with stop:
            if stop.requested():
                if not any(earlier.stopped for earlier in command.results):
                    command.monitor.say(f"{config.row}: not begun ({stop.reason}); the same command goes on")
                result.stopped = True
            elif config.task == "speed":
                result.stopped = measure(config, command.monitor, stop)
            else:
                command.monitor.begin_study(planned(trials))
                row = train(config, trials, command.monitor, stop)
                result.stopped = row.stopped
                if row.finished or row.skipped:
                    result.study = str(Path(checked.results) / "runs" / checked.study)
                result.errors += row.errors
                result.failed = {label: sweep.where(checked, label) for label in row.failed}
                result.diverged = {label: sweep.where(checked, label) for label in row.diverged}
    except Stopped as reason:
        command.monitor.say(f"{config.row}: not begun ({reason}); the same command goes on")
        result.stopped = True
    except Exception as error:
        # A trial keeps its failure to itself: this was raised before one began, or is the machine's.
        result.errors.append(explain(error))
    if config.fail_fast and (result.failed or result.errors):
        result.ends_sweep = True
        command.stop.request(FAIL_FAST)
    return result
