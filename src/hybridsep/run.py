"""The entry point: compose the configuration, do the jobs it names, and say how to go on.

`python -m hybridsep.run model=resnext trial=0..9`; `--help` lists the choices. Exit status 0: done; 1: a trial failed
or diverged, or a job was lost; 2: something to mend, said in one line; 75: stopped early, the same command goes on.
"""

import os
import sys

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hybridsep import config as configuration
from hybridsep.errors import UserError
from hybridsep.launch import job as one_job
from hybridsep.launch import sweep, workers
from hybridsep.launch.result import JobResult, conclude

_main_process = 0  # the process that main() runs in; 0 in a launcher's workers
_ends: list[JobResult] = []  # how the jobs ended that ran in the main process


def job(config: DictConfig) -> None:
    """Do one job; Hydra calls it once, or once for each job of a sweep, here or in a launcher's worker process."""
    if wrong := sweep.idle_launcher():
        _ends.append(JobResult(errors=[wrong]))
    elif os.getpid() == _main_process and workers.SweepCallback.sweep is None:
        stopped = any(end.stopped for end in _ends)
        _ends.append(one_job.do(config, planned=sweep.planned_trials, stopped=stopped))
    else:
        # A worker, or what joblib takes for its only one: this process. A worker's jobs are counted each for itself.
        one_job.screen.cache_clear()
        workers.tell(lambda: one_job.do(config, planned=len))


def main() -> None:
    """Run the command line and exit with its status."""
    global _main_process
    _main_process = os.getpid()
    # With Hydra's own short error texts off, they arrive here as exceptions and can be said in one line.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    _ends.clear()
    one_job.screen.cache_clear()
    one_job.stop.cache_clear()
    configuration.register()
    sweep.register()
    run = hydra.main(version_base="1.3", config_path=str(configuration.config_dir()), config_name="config")(job)
    # Signals are a wish to stop from here on, also between two jobs; the time is counted from here too.
    with one_job.stop(_main_process) as stop:
        try:
            _ends.extend(workers.launch(run, stopped=stop.requested, say=_say))
        except (HydraException, OmegaConfBaseException, UserError, OverflowError) as error:
            _ends.append(JobResult(errors=[sweep.explain(error)]))
        finally:
            if one_job.screen.cache_info().currsize:
                one_job.screen(_main_process).close()
    status = conclude(_ends, _say)
    for line in dict.fromkeys(line for end in _ends for line in end.errors):
        print(f"hybridsep: {line}", file=sys.stderr)
    sys.exit(status)


def _say(line: str) -> None:
    if workers.SweepCallback.sweep is None:
        one_job.screen(_main_process).say(line)
    else:
        # Bars of this process would know of no trial, and break up the lines of the workers.
        from hybridsep.launch.progress import Lines

        Lines().say(line)


if __name__ == "__main__":
    # The module's importable self, so that a launcher can hand `job` to another process by name.
    from hybridsep.run import main as importable_main

    importable_main()
