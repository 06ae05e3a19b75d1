"""What conf/ asks Hydra for by `${name:...}`."""

import datetime
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from hybridsep.config import config_dir
from hybridsep.config.compose import register_resolver
from hybridsep.config.ranges import expand_home
from hybridsep.runs import machine

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"  # one job after another, in this process
SWEEPER = "hydra_plugins.launchers_of_hybridsep.JobSweeper"


def register() -> None:
    """Give Hydra the resolvers of `conf/config.yaml` and of the launchers' presets.

    `${sweep_dir:sweeper,launcher,cwd,results}`: the folder of a sweep, results/sweeps/TIME, for stop requests and logs;
    where the jobs run in this process it needs none. `${gpus:}`: visible GPUs; `${one_gpu:}`: 1 where there are any;
    `${workers:}`: one for each of them, else one for each core.
    """
    Plugins.instance()  # the plugins' own configurations of launchers are stored now
    stored = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for preset in (config_dir() / "hydra" / "launcher").glob("*.yaml"):
        stored.pop(preset.name, None)  # ours says all, and Hydra would complain of two
    register_resolver("sweep_dir", _sweep_dir, use_cache=True)
    register_resolver("gpus", _gpus)
    register_resolver("one_gpu", lambda: min(1, _gpus()))
    register_resolver("workers", lambda: _gpus() or machine.cores())


def _sweep_dir(sweeper: str, launcher: str, cwd: str, results: str) -> str:
    if (sweeper, launcher) == (SWEEPER, BASIC):
        return cwd
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
    return str(Path(cwd) / expand_home(results) / "sweeps" / now)


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
