"""Hydra's side of a command: the jobs of a sweep, their trials and folder, and Hydra's errors in one line."""

import datetime
import os
import re
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybridsep.config import Config, parse_trials, resolve
from hybridsep.config.keys import hint, keys
from hybridsep.errors import TRACEBACK, RecordError, UserError
from hybridsep.runs import machine

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"  # one job after another, in this process

_LONGEST = 600  # characters of an error's line; a value can be of any length


def register() -> None:
    """Give Hydra the resolvers of `conf/config.yaml` and of the launchers' presets.

    `${sweep_dir:launcher,cwd,results}`: where a sweep's own notes and logs are. A launcher's jobs tell there how they
    end, also from other machines; the basic launcher needs no such folder. `${gpus:}`: visible GPUs; `${one_gpu:}`: 1
    where there are any; `${workers:}`: one for each of them, else one for each core.
    """

    def sweep_dir(launcher: str, cwd: str, results: str) -> str:
        if launcher == BASIC:
            return tempfile.gettempdir()
        return str(Path(cwd) / results / "sweeps" / datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f"))

    OmegaConf.register_new_resolver("sweep_dir", sweep_dir, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("gpus", _gpus, replace=True)
    OmegaConf.register_new_resolver("one_gpu", lambda: min(1, _gpus()), replace=True)
    OmegaConf.register_new_resolver("workers", lambda: _gpus() or machine.cores(), replace=True)


def idle_launcher() -> str:
    """Return what is wrong when a launcher was chosen that Hydra does not use, as without a sweep; else nothing."""
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN or hydra.launcher._target_ == BASIC:
        return ""
    return f"hydra/launcher={hydra.runtime.choices['hydra/launcher']} starts the jobs of a sweep: add -m"


def uses_launcher() -> bool:
    """Return whether the job under way is a launcher's, which may run it in another process."""
    return HydraConfig.get().launcher._target_ != BASIC


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def where(config: DictConfig, label: str) -> str:
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


def asked(config: DictConfig, jobs: list[list[str]]) -> list[tuple[DictConfig, list[int]]]:
    """Return the configuration and the trials of each job; jobs that differ in their trials share a configuration.

    Raises what Hydra or a check raises for the first job that is wrong.
    """
    loader, composed, found = GlobalHydra.instance().config_loader(), {}, []
    for overrides in jobs:
        same = tuple(text for text in overrides if not text.startswith("trial="))
        if same not in composed:
            composed[same] = loader.load_sweep_config(config, list(same))
            resolve(composed[same])
        named = [_value(text) for text in overrides if text.startswith("trial=")]
        found.append((composed[same], parse_trials(named[-1] if named else composed[same].trial)))
    return found


def _value(override: str) -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(override).value()


def explain(error: BaseException) -> str:
    """Return an error as one line, with the nearest key for one that does not exist.

    Of an error that nobody foresaw the line names the type, and HYBRIDSEP_TRACEBACK=1 prints where it was raised.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if error.__cause__ is not None:
        lines += [line.strip() for line in str(error.__cause__).splitlines() if line.strip()]
    lines = [
        line
        for line in lines
        if not re.match(r"(full_key:|object_type=|reference_type=|Config search path|provider=)", line)
    ]
    text = re.sub(r"\s+", " ", " ".join(dict.fromkeys(lines)))
    # What is typed can hold anything, and a line is to stay a line on every terminal.
    text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        near = hint(unknown[1], list(keys(Config)), "python -m hybridsep.run --help shows all")
        return f"{unknown[1]} is not a key: {near}"
    if isinstance(error, HydraException | OmegaConfBaseException | UserError):
        return text or type(error).__name__
    if os.environ.get("HYBRIDSEP_TRACEBACK") == "1":
        traceback.print_exception(error)
    return f"{type(error).__name__}: {text} (HYBRIDSEP_TRACEBACK=1 shows where)"
