"""The entry point: compose the configuration, train the trials it names, and say how to go on.

`python -m hybridsep.run model=resnext trial=0..9`; `--help` lists the choices. Exit status 0: done; 1: a trial failed
or diverged; 2: something to mend, said in one line; 75: stopped early, the same command goes on.
"""

import functools
import json
import os
import sys
import tempfile

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hybridsep import config as configuration
from hybridsep.errors import UserError
from hybridsep.sweep import explain, planned_trials
from hybridsep.train.stop import Stop

# Names the file in which a launcher's worker processes tell the main process how their trials ended.
_TOLD = "HYBRIDSEP_TOLD"


@functools.cache
def _session(_process: int):
    """Return what the jobs of one command share in one process: progress, and how trials ended."""
    from hybridsep.monitor import monitor
    from hybridsep.train.study import Outcome

    return monitor(), Outcome()


@functools.cache
def _stop(_process: int) -> Stop:
    """Return the wish to stop, one for each process; its time begins with the first call."""
    return Stop()


_errors: dict[str, None] = {}
_main_process = 0  # the process that main() runs in; 0 in a launcher's workers


def job(config: DictConfig) -> None:
    """Train the trials of one row; Hydra calls it once, or once for each job of a sweep."""
    try:
        trials = configuration.parse_trials(config.trial)
        configuration.check(config)
        # Imported after the first checks: torch takes seconds, and a mistyped value should be answered at once.
        from hybridsep import build
        from hybridsep.train.study import Row

        monitor, outcome = _session(os.getpid())
        stop = _stop(os.getpid())
        stop.limit(config.max_minutes)
        with stop:
            if stop.requested():
                if not outcome.stopped:
                    monitor.say(f"{config.row}: not begun ({stop.reason}); the same command goes on")
                outcome.stopped = True
                return
            if config.task == "speed":
                from hybridsep import speed

                outcome.stopped |= speed.measure(build.plain(config), monitor=monitor, stop=stop) is None
                return
            monitor.begin_study(planned_trials(trials))
            Row(build.plain(config), monitor=monitor, stop=stop).run(trials, outcome)
    except (UserError, OmegaConfBaseException) as error:
        if os.getpid() != _main_process:
            raise
        # A sweep goes on with its other jobs, and what is wrong with several of them is said once.
        _errors[explain(error)] = None
    finally:
        if os.getpid() != _main_process and _TOLD in os.environ and _session.cache_info().currsize:
            _, outcome = _session(os.getpid())
            with open(os.environ[_TOLD], "a") as told:
                told.write(json.dumps([outcome.stopped, outcome.failed, outcome.diverged]) + "\n")


def main() -> None:
    """Run the command line and exit with its status."""
    global _main_process
    _main_process = os.getpid()
    # With Hydra's own short error texts off, they arrive here as exceptions and can be said in one line.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    _errors.clear()
    _session.cache_clear()
    _stop.cache_clear()
    configuration.register()
    # Signals are a wish to stop from here on, also between two jobs; the time is counted from here too.
    with _stop(_main_process), tempfile.NamedTemporaryFile("r", prefix="hybridsep-") as told:
        os.environ[_TOLD] = told.name
        try:
            hydra.main(version_base="1.3", config_path=str(configuration.config_dir()), config_name="config")(job)()
        except (HydraException, OmegaConfBaseException, UserError, OverflowError) as error:
            _errors[explain(error)] = None
        finally:
            status = _conclude([json.loads(line) for line in told])
    sys.exit(status)


def _conclude(told: list[tuple[bool, list[str], list[str]]]) -> int:
    """Say how the command ended and return its status; `told` is the outcome of each job in a worker process."""
    status = 0
    if _session.cache_info().currsize or told:
        monitor, outcome = _session(_main_process)
        monitor.close()
        told.append((outcome.stopped, outcome.failed, outcome.diverged))
        stopped, failed, diverged = zip(*told, strict=True)
        status = 75 if any(stopped) else 1 if any(failed) or any(diverged) else 0
        for word, lists in (("failed", failed), ("diverged", diverged)):
            # A worker tells of all its jobs each time.
            labels = list(dict.fromkeys(label for names in lists for label in names))
            if labels:
                monitor.say(f"{len(labels)} {word}: {', '.join(labels)}")
    for line in _errors:
        print(f"hybridsep: {line}", file=sys.stderr)
    return 2 if _errors else status


if __name__ == "__main__":
    # The module's importable self, so that a launcher can hand `job` to another process by name.
    from hybridsep.run import main as importable_main

    importable_main()
