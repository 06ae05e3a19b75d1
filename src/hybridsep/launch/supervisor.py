"""From a command line to an exit status: Hydra's main is started, and the ends of its jobs are summed up."""

import contextlib
import os
import sys
from collections.abc import Callable

import hydra
from omegaconf import DictConfig

from hybridsep import config as configuration
from hybridsep.launch import arguments, resolvers
from hybridsep.launch import command as commands
from hybridsep.launch.conclusion import conclude
from hybridsep.launch.explain import explain
from hybridsep.runs.stop import Stop


def supervise(job: Callable[[DictConfig], float], stop: Stop) -> int:
    """Let Hydra compose the command line and call `job` for what it names; return the exit status.

    `job` is a function that another process can import by name.
    """
    # With Hydra's own short error texts off, they arrive here as exceptions and can be said in one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    command = commands.begin(stop)
    try:
        sys.argv[1:] = arguments.prepare(sys.argv[1:])
        configuration.register()
        resolvers.register()
        main = hydra.main(str(configuration.config_dir()), "config", **configuration.hydra_defaults())
        main(job)()
    except BrokenPipeError:
        raise  # nobody reads what `--cfg` shows
    except Exception as error:
        # Jobs keep their errors to themselves; what arrives is Hydra's, OmegaConf's or a launcher's.
        command.errors.append(explain(error))
    finally:
        command.close()
    status = 0
    if command.jobs:
        status = conclude(command.jobs, command.monitor.say, stopped=stop.reason, lost=command.lost)
        command.close()
    with contextlib.suppress(OSError):
        for line in dict.fromkeys([line for each in command.jobs for line in each.errors] + command.errors):
            print(f"hybridsep: {line}", file=sys.stderr, flush=True)
    return 2 if command.errors else status
