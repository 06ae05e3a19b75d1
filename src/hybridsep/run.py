"""The entry point: compose the configuration, do the jobs it names, and say how to go on.

`python -m hybridsep.run model=resnext trial=0..9`; `--help` lists the choices. Exit status 0: done; 1: a trial failed
or diverged, or a job was lost; 2: something to mend, said in one line; 75: stopped early, the same command goes on.
"""

import sys
from typing import TYPE_CHECKING

from hybridsep.runs.stop import Stop
from hybridsep.streams import run_program

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from hybridsep.config import Config
    from hybridsep.runs.progress import Monitor


def job(composed: "DictConfig") -> float:
    """Do one job; Hydra calls it once, or once for each job of a sweep, here or in a launcher's worker process."""
    from hybridsep.launch.job import run_job

    return run_job(composed, measure=_measure)


def _measure(config: "Config", monitor: "Monitor", stop: Stop) -> bool:
    from hybridsep.bench import speed  # with torch, so only when it is wanted

    return speed.measure(config, monitor=monitor, stop=stop)


def main() -> None:
    """Run the command line and exit with its status."""
    # Signals are stop requests, also while the rest is imported; the time is counted from here too.
    with Stop() as stop:
        status = run_program("hybridsep", lambda: _main(stop))
    sys.exit(status)


def _main(stop: Stop) -> int:
    from hybridsep.launch import help

    if text := help.answer(sys.argv[1:]):
        print(text)
        return 0
    from hybridsep.launch.supervisor import supervise

    return supervise(job, stop)


if __name__ == "__main__":
    # The module's importable self, so that a launcher can hand `job` to another process by name.
    from hybridsep.run import main as importable_main

    importable_main()
