"""Hydra's side of a command: the jobs of a sweep, their trials and folder."""

import datetime
import sys
import tempfile
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from hybridsep.config import Config, parse_trials, resolve
from hybridsep.config.ranges import expand_home
from hybridsep.errors import TRACEBACK, RecordError
from hybridsep.runs import machine

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"  # one job after another, in this process


def register() -> None:
    """Give Hydra the resolvers of `conf/config.yaml` and of the launchers' presets.

    `${sweep_dir:launcher,cwd,results}`: where a sweep's own notes and logs are. A launcher's jobs tell there how they
    end, also from other machines; the basic launcher needs no such folder. `${gpus:}`: visible GPUs; `${one_gpu:}`: 1
    where there are any; `${workers:}`: one for each of them, else one for each core.
    """

    def sweep_dir(launcher: str, cwd: str, results: str) -> str:
        if launcher == BASIC:
            return tempfile.gettempdir()
        now = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        return str(Path(cwd) / expand_home(results) / "sweeps" / now)

    OmegaConf.register_new_resolver("sweep_dir", sweep_dir, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("gpus", _gpus, replace=True)
    OmegaConf.register_new_resolver("one_gpu", lambda: min(1, _gpus()), replace=True)
    OmegaConf.register_new_resolver("workers", lambda: _gpus() or machine.cores(), replace=True)


def refused(config: DictConfig) -> str:
    """Return what is wrong with the choices of the job under way, in one line; else nothing.

    A list of choices of one group, as a file can have it: Hydra lays them over each other. A launcher without a sweep:
    Hydra does not use it.
    """
    hydra = HydraConfig.get()
    for group, key in {
        "model": "name",
        "size": "name",
        "data": "name",
        "augmentation": "kind",
        "schedule": "name",
    }.items():
        # Of a list Hydra notes no choice; neither of a group that was taken out, which `resolve` misses.
        if group not in hydra.runtime.choices and not OmegaConf.is_missing(config[group], key):
            return f"a list of files for {group} lays one over the other: -m {group}=A,B does one after the other"
    if hydra.mode == RunMode.MULTIRUN or hydra.launcher._target_ == BASIC:
        return ""
    return f"hydra/launcher={hydra.runtime.choices['hydra/launcher']} starts the jobs of a sweep: add -m"


def uses_launcher() -> bool:
    """Return whether the job under way is a launcher's, which may run it in another process."""
    return HydraConfig.get().launcher._target_ != BASIC


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def where(config: Config, label: str) -> str:
    """Return, in a line, why the trial `row trial-03` ended and the file or folder that says more."""
    from hybridsep.runs import records

    row, trial = label.split()
    folder = records.run_folder(Path(config.results), config.study, row, int(trial.removeprefix("trial-")))
    try:
        message = records.read(folder)["message"]
    except RecordError as error:
        return str(error)
    return f"{message}; see {folder / TRACEBACK if (folder / TRACEBACK).exists() else folder}"


def jobs(hydra: DictConfig) -> list[list[str]]:
    """Return the overrides of each job of the sweep that was typed, made the way Hydra's basic sweeper makes them.

    `hydra`: Hydra's own configuration, for what an experiment's file sweeps over.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra._internal.utils import get_args_parser
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    fixed = [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()]
    typed = get_args_parser().parse_args(sys.argv[1:]).overrides
    return BasicSweeper.split_arguments(parser.parse_overrides(fixed + typed), None)[0]


def names(jobs: list[list[str]]) -> list[str]:
    """Return a name for each job: what distinguishes it from the others, such as `model=resnext trial=0..4`."""
    told = [place for place in range(len(jobs[0])) if len({job[place] for job in jobs}) > 1]
    return [" ".join(job[place] for place in told) or "the job" for job in jobs]


def asked(config: DictConfig, jobs: list[list[str]]) -> list[tuple[Config, list[int]]]:
    """Return the configuration and the trials of each job; jobs that differ in their trials share a configuration.

    Raises what Hydra or a check raises for the first job that is wrong.
    """
    loader, composed, found = GlobalHydra.instance().config_loader(), {}, []
    for overrides in jobs:
        same = tuple(text for text in overrides if not text.startswith("trial="))
        if same not in composed:
            composed[same] = resolve(loader.load_sweep_config(config, list(same)))
        named = [_value(text) for text in overrides if text.startswith("trial=")]
        found.append((composed[same], parse_trials(named[-1] if named else composed[same].trial)))
    return found


def _value(override: str) -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(override).value()
