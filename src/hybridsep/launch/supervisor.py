"""From a command line to an exit status: Hydra's main is started, and what its jobs came to is summed up."""

import contextlib
import os
import re
import sys
from collections.abc import Callable

import hydra
from omegaconf import DictConfig

from hybridsep import config as configuration
from hybridsep.launch import command as commands
from hybridsep.launch import resolvers, words
from hybridsep.launch.explain import explain
from hybridsep.runs.stop import Stop

_EXTRAS = {"hydra_joblib_launcher": "joblib", "launchers_of_hybridsep": "slurm", "hydra_ray_launcher": "ray"}


def supervise(job: Callable[[DictConfig], float], stop: Stop) -> int:
    """Let Hydra compose the command line and call `job` for what it names; return the exit status.

    `job` is a function that another process can import by name.
    """
    # With Hydra's own short error texts off, they arrive here as exceptions and can be said in one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    command = commands.begin(stop)
    try:
        sys.argv[1:] = words.prepare(sys.argv[1:])
        configuration.register()
        resolvers.register()
        hydra.main(config_path=str(configuration.config_dir()), config_name="config", **configuration.hydra_defaults())(
            job
        )()
    except BrokenPipeError:
        raise  # nobody reads what `--cfg` shows
    except Exception as error:
        # Jobs keep their errors to themselves; what arrives is Hydra's, OmegaConf's or a launcher's.
        command.errors.append(_of_launcher(error) or explain(error, words.own_folder(sys.argv[1:])))
    finally:
        command.close()
    status = 0
    if command.jobs:
        from hybridsep.launch.conclusion import conclude

        say = command.monitor.say
        status = conclude(command.jobs, say, sweep=command.sweeps, stopped=stop.reason, lost=command.lost)
        command.close()
    to_mend = dict.fromkeys([line for each in command.jobs for line in each.errors] + command.errors)
    with contextlib.suppress(OSError):
        for line in to_mend:
            print(f"hybridsep: {line}", file=sys.stderr, flush=True)
    return 2 if command.errors else status


def _of_launcher(error: Exception) -> str:
    """Return which extra is missing, when that is what Hydra says."""
    unknown = re.search(r"Unknown plugin class : 'hydra_plugins\.(\w+)\.", str(error))
    if unknown and unknown[1] in _EXTRAS:
        return f"this launcher is not installed: pip install 'hybridsep[{_EXTRAS[unknown[1]]}]'"
    return ""
