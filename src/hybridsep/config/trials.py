"""The syntax of `trial=`."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from hybridsep.config.validation import refuse

MAX_TRIAL = 9999
ALLOWED = f"3, 0..9 or [0,2,5..7], each trial once, from 0 to {MAX_TRIAL}"


def parse_trials(value: Any) -> list[int]:
    """Return the trials that `trial=` names: `3`, `0..9` (both ends included) or a list of these, `[0,2,5..7]`.

    `range(0,10)`, Hydra's way to write 0..9 where it sweeps, means the same anywhere; so does `0,2,5..7` as text.

    Raises ConfigError for anything else, an empty or backward range, a repeated trial, or a number outside 0..9999.
    """
    listed: Any = re.split(r"\s*,\s*(?![^(]*\))", value) if isinstance(value, str) else value
    parts = [_numbers(part) for part in (listed if isinstance(listed, Sequence) else [listed])]
    possible = all(part and part[-1] <= MAX_TRIAL for part in parts)
    trials = [trial for part in parts for trial in part] if possible else []
    if not trials or len(set(trials)) != len(trials):
        raise refuse("trial", value, ALLOWED)
    return trials


def _numbers(part: Any) -> range:
    """Return the trials of one part of `trial=`; none when it is not one."""
    if isinstance(part, bool | float):
        return range(0)
    if match := re.fullmatch(r"([0-9]{1,9})(?:\.\.([0-9]{1,9}))?", str(part), re.ASCII):
        return range(int(match[1]), int(match[2] or match[1]) + 1)
    number = r"\s*([0-9]{1,5})\s*"
    if match := re.fullmatch(rf"range\((?:{number},)?{number}(?:,\s*([1-9][0-9]{{0,4}})\s*)?\)", str(part), re.ASCII):
        return range(int(match[1] or 0), int(match[2]), int(match[3] or 1))
    return range(0)


def ranges(trials: Iterable[int]) -> str:
    """Write trials as on the command line: 0..3,7."""
    parts: list[list[int]] = []
    for trial in sorted(trials):
        if parts and trial == parts[-1][-1] + 1:
            parts[-1].append(trial)
        else:
            parts.append([trial])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}..{part[-1]}" for part in parts)
