"""Hydra's side of a command: how many trials a sweep stands for, and Hydra's errors in one line."""

import dataclasses
import difflib
import re
import sys
from collections.abc import Iterator

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from hybridsep.config import Config, parse_trials


def planned_trials(trials: list[int]) -> int:
    """Return the trials of the whole command: of all jobs when `trials` are those of one job of a sweep.

    Counted the way Hydra's basic sweeper makes its jobs; in a worker process of another launcher the job's own count.
    """
    config = HydraConfig.get()
    if config.mode != RunMode.MULTIRUN or not GlobalHydra.instance().is_initialized():
        return len(trials)
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra._internal.utils import get_args_parser
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    fixed = [f"{key}={value}" for key, value in (config.sweeper.get("params") or {}).items()]
    typed = get_args_parser().parse_args(sys.argv[1:]).overrides
    jobs = BasicSweeper.split_arguments(parser.parse_overrides(fixed + typed), None)[0]
    total = 0
    for overrides in jobs:
        named = [parser.parse_override(text).value() for text in overrides if text.startswith("trial=")]
        total += len(parse_trials(named[-1])) if named else len(trials)
    return total


def explain(error: BaseException) -> str:
    """Return an error of Hydra, OmegaConf or ours as one line, with the nearest key for one that does not exist."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if error.__cause__ is not None:
        lines += [line.strip() for line in str(error.__cause__).splitlines() if line.strip()]
    lines = [
        line
        for line in lines
        if not re.match(r"(full_key:|object_type=|reference_type=|Config search path|provider=)", line)
    ]
    text = re.sub(r"\s+", " ", " ".join(dict.fromkeys(lines)))
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        return f"{unknown[1]} is not a key: {_nearest(unknown[1])}"
    return text


def _nearest(key: str) -> str:
    known = list(_keys(Config))
    same_leaf = [name for name in known if name.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
    close = same_leaf or difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else "python -m hybridsep.run --help shows all"


def _keys(schema: type, prefix: str = "") -> Iterator[str]:
    for entry in dataclasses.fields(schema):
        if dataclasses.is_dataclass(entry.type):
            yield from _keys(entry.type, f"{prefix}{entry.name}.")
        else:
            yield f"{prefix}{entry.name}"
