"""The entry point: compose the configuration, train the trials it names, and say how to go on.

`python -m hybridsep.run model=resnext trial=0..9`; `--help` lists the choices. Exit status 0: done; 1: a trial failed
or diverged; 2: something to mend, said in one line; 75: stopped early, the same command goes on.
"""

import functools
import os
import sys

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hybridsep import config as configuration
from hybridsep.errors import UserError
from hybridsep.sweep import explain, planned_trials


@functools.cache
def _session(_process: int):
    """Return what the jobs of one command share in one process: progress, the wish to stop, and how trials ended."""
    from hybridsep.monitor import monitor
    from hybridsep.train.stop import Stop
    from hybridsep.train.study import Outcome

    return monitor(), Stop(), Outcome()


_errors: dict[str, None] = {}
_main_process = os.getpid()


def job(config: DictConfig) -> None:
    """Train the trials of one row; Hydra calls it once, or once for each job of a sweep."""
    try:
        trials = configuration.parse_trials(config.trial)
        configuration.check(config)
        # Imported after the first checks: torch takes seconds, and a mistyped value should be answered at once.
        from hybridsep import build
        from hybridsep.train.study import Row

        monitor, stop, outcome = _session(os.getpid())
        stop.limit(config.max_minutes)
        with stop:
            if stop.requested():
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


def main() -> None:
    """Run the command line and exit with its status."""
    # With Hydra's own short error texts off, they arrive here as exceptions and can be said in one line.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    _errors.clear()
    _session.cache_clear()
    configuration.register()
    try:
        hydra.main(version_base="1.3", config_path=str(configuration.config_dir()), config_name="config")(job)()
    except (HydraException, OmegaConfBaseException, UserError) as error:
        _errors[explain(error)] = None
    finally:
        status = _conclude()
    sys.exit(status)


def _conclude() -> int:
    status = 0
    if _session.cache_info().currsize:
        monitor, _, outcome = _session(_main_process)
        monitor.close()
        status = 75 if outcome.stopped else 1 if outcome.failed or outcome.diverged else 0
        for word, labels in (("failed", outcome.failed), ("diverged", outcome.diverged)):
            if labels:
                monitor.say(f"{len(labels)} {word}: {', '.join(labels)}")
    for line in _errors:
        print(f"hybridsep: {line}", file=sys.stderr)
    return 2 if _errors else status


if __name__ == "__main__":
    # The module's importable self, so that a launcher can hand `job` to another process by name.
    from hybridsep.run import main as importable_main

    importable_main()
