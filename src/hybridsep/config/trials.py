"""The syntax of `trial=`."""

import re
from collections.abc import Iterable
from typing import Any

from omegaconf import OmegaConf

from hybridsep.errors import ConfigError

MAX_TRIAL = 9999


def parse_trials(value: Any) -> list[int]:
    """Return the trials that `trial=` names: `3`, `0..9` (both ends included) or a list of these, `[0,2,5..7]`.

    `range(0,10)`, Hydra's way to write 0..9 where it sweeps, means the same anywhere.

    Raises ConfigError for anything else, an empty or backward range, a repeated trial, or a number outside 0..9999.
    """
    allowed = f"allowed are 3, 0..9 or [0,2,5..7] with numbers from 0 to {MAX_TRIAL}"
    parts = list(value) if OmegaConf.is_list(value) or isinstance(value, list | tuple) else [value]
    trials: list[int] = []
    for part in parts:
        if swept := re.fullmatch(r"range\(\s*([0-9]{1,5})\s*,\s*([0-9]{1,5})\s*\)", str(part), re.ASCII):
            part = f"{swept[1]}..{int(swept[2]) - 1}"
        match = re.fullmatch(r"([0-9]{1,9})(?:\.\.([0-9]{1,9}))?", str(part), re.ASCII)
        if match is None or isinstance(part, bool | float):
            raise ConfigError(f"trial={_show(value)} is not a trial: {allowed}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ConfigError(f"trial={_show(value)} runs backward ({first}..{last}): {allowed}")
        if last > MAX_TRIAL:
            raise ConfigError(f"trial={_show(value)} is too large: {allowed}")
        trials.extend(range(first, last + 1))
    if not trials:
        raise ConfigError(f"trial={_show(value)} names no trial: {allowed}")
    if len(set(trials)) != len(trials):
        raise ConfigError(f"trial={_show(value)} names a trial twice: {allowed}")
    return trials


def ranges(trials: Iterable[int]) -> str:
    """Write trials as on the command line: 0..3,7."""
    parts: list[list[int]] = []
    for trial in sorted(trials):
        if parts and trial == parts[-1][-1] + 1:
            parts[-1].append(trial)
        else:
            parts.append([trial])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}..{part[-1]}" for part in parts)


def _show(value: Any) -> str:
    items = list(value) if OmegaConf.is_list(value) else value
    return "[" + ",".join(map(str, items)) + "]" if isinstance(items, list | tuple) else str(items)
