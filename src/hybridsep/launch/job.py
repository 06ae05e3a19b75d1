"""One job of a command: the trials of one row trained, or its speed measured, and how that ended."""

import functools
import os
import traceback
from collections.abc import Callable

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hybridsep import config as configuration
from hybridsep.errors import UserError
from hybridsep.launch import sweep
from hybridsep.launch.result import JobResult
from hybridsep.launch.stop import Stop


@functools.cache
def screen(_process: int):
    """Return what shows progress, one for all jobs in a process."""
    from hybridsep.launch.progress import monitor

    return monitor()


@functools.cache
def stop(_process: int) -> Stop:
    """Return the wish to stop, one for each process; its time begins with the first call."""
    return Stop()


def do(config: DictConfig, *, planned: Callable[[list[int]], int], stopped: bool = False) -> JobResult:
    """Do the job that `config` describes. Nothing is raised but what ends a process: what goes wrong is in the answer.

    `planned`: trials of this job -> trials of all that is shown as one progress. `stopped`: an earlier job was, and
    said so.
    """
    end = JobResult()
    try:
        trials = configuration.parse_trials(config.trial)
        configuration.check(config)
        monitor, wish = screen(os.getpid()), stop(os.getpid())
        wish.limit(config.max_minutes)
        with wish:
            if wish.requested():
                if not stopped:
                    monitor.say(f"{config.row}: not begun ({wish.reason}); the same command goes on")
                end.stopped = True
            elif config.task == "speed":
                from hybridsep.bench import speed
                from hybridsep.train import build

                end.stopped = speed.measure(build.plain(config), monitor=monitor, stop=wish) is None
            else:
                monitor.begin_study(planned(trials))
                _train(config, trials, end, monitor, wish)
    except (UserError, OmegaConfBaseException) as error:
        end.errors.append(sweep.explain(error))
    except Exception as error:
        traceback.print_exc()
        end.failed[f"{config.row} trial={config.trial}"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return end


def _train(config: DictConfig, trials: list[int], end: JobResult, monitor, wish: Stop) -> None:
    # Imported after the first checks: torch takes seconds, and a mistyped value should be answered at once.
    from hybridsep.train import build
    from hybridsep.train.row import train_row

    result = train_row(build.plain(config), trials, monitor=monitor, stop=wish)
    end.stopped = result.stopped
    end.errors += result.errors
    end.failed = {label: sweep.where(config, label) for label in result.failed}
    end.diverged = {label: sweep.where(config, label) for label in result.diverged}
