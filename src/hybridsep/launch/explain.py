"""Errors of Hydra, OmegaConf and YAML in one line, in this program's words."""

import logging
import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from hybridsep.config import Config, config_dir
from hybridsep.config.keys import hint, keys, kind_of, meant
from hybridsep.config.overrides import read_yaml
from hybridsep.config.ranges import allowed
from hybridsep.errors import UserError

# Hydra logs its errors too, and Python prints what no handler takes: they are said once, here.
logging.getLogger("hydra").addHandler(logging.NullHandler())

# Hydra logs its errors too, and Python prints what no handler takes: they are said once, here.
logging.getLogger("hydra").addHandler(logging.NullHandler())

_LONGEST = 600  # characters of an error's line; a value can be of any length
_NOISE = re.compile(r"(full_key:|object_type=|reference_type=|Config search path|provider=)")
_FREE = ("model.network", "model.module", "data.source")  # groups whose keys are those of a constructor


def explain(error: BaseException, own: Path | None = None) -> str:
    """Return an error as one line, with the nearest key for one that does not exist.

    Of an error that nobody foresaw the line names the type, and HYBRIDSEP_TRACEBACK=1 prints where it was raised.
    `own`: the folder of `--config-dir`, where a file may be at fault that the error does not name.
    """
    if isinstance(error, yaml.YAMLError):
        return _short(_of_yaml(error))
    if isinstance(error, UnicodeDecodeError) and own and (wrong := _unreadable_file(own)):
        return _short(wrong)
    if isinstance(error, RecursionError) and own and (wrong := _circular_file(own)):
        return _short(wrong)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        return _short(_no_such_choice(str(error.missing_cfg_file), list(error.options)))
    text = _short(_lines(error))
    if isinstance(error, HydraException | OmegaConfBaseException | UserError):
        return _of_override(text) or text or type(error).__name__
    if os.environ.get("HYBRIDSEP_TRACEBACK") == "1":
        traceback.print_exception(error)
    return f"{type(error).__name__}: {text} (HYBRIDSEP_TRACEBACK=1 shows where)"


def _lines(error: BaseException) -> str:
    """Return an error's text and its cause's, without what the one repeats of the other."""
    texts = [str(error)] if error.__cause__ is None else [str(error), str(error.__cause__)]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    kept: list[str] = []
    for line in lines:
        if line and not _NOISE.match(line) and not any(line in earlier for earlier in kept):
            kept.append(line)
    return " ".join(kept)


def _short(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    # What is typed can hold anything, and a line is to stay a line on every terminal.
    text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


def _of_override(text: str) -> str:
    """Return what Hydra says of an override in other words; empty when it is not about one."""
    if several := re.match(r"Ambiguous value for argument '(.*?)' 1\. To use it", text):
        return f"{several[1]} names several: add -m to do one after the other"
    if unknown := re.search(r"Could not override '([^']+)'", text):
        key = unknown[1]
        if key.rpartition(".")[0] in _FREE:
            return f"{key} is not a key of the file that is chosen; to set it where a row has it, type ++{key}=..."
        groups = [path.name for path in config_dir().iterdir() if path.is_dir()]
        return f"{key} is not a key: {hint(key, [*groups, *keys(Config)], 'python -m hybridsep.run --help shows all')}"
    if wrong := re.match(r"Error merging override \+*(([\w.]+)=.*?) Value ", text):
        kind = kind_of(Config, wrong[2].split("."))
        if kind is not None:
            return f"{wrong[1]} is not allowed: {allowed(kind)}"
    return ""


def _no_such_choice(missing: str, options: list[str]) -> str:
    group, _, name = missing.rpartition("/")
    folder = config_dir() / group
    if group == "experiment" and (former := re.fullmatch(r"(\w+?)s?_(quick|small)", name)):
        return f"experiment={name} is now called experiment={former[1]} scale={former[2]}"
    there = [*options, *(f"variant/{path.stem}" for path in sorted(folder.glob("variant/*.yaml")))]
    near = [one for one in there if one.rpartition("/")[2] == name] or meant(name, there)
    if near:
        return f"{group}={name} is not there: did you mean {' or '.join(f'{group}={one}' for one in near)}?"
    return f"{group}={name} is not there: allowed are {', '.join(there)}"


def _of_yaml(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"a YAML file cannot be read: {error}"
    return f"{mark.name} cannot be read as YAML, line {mark.line + 1}: {getattr(error, 'problem', '') or error}"


def _contents(folder: Path) -> Iterator[tuple[Path, Any]]:
    """Yield each YAML file of a folder with its content, or with the error that reading it raised."""
    for path in sorted(folder.rglob("*.yaml")):
        try:
            yield path, read_yaml(path)
        except (OSError, ValueError, yaml.YAMLError) as error:
            yield path, error


def _unreadable_file(folder: Path) -> str:
    wrong = (f"{path} cannot be read: {error}" for path, error in _contents(folder) if isinstance(error, UnicodeError))
    return next(wrong, "")


def _circular_file(folder: Path) -> str:
    """Return which file of a folder contains itself, by an alias or by its defaults; empty when none does."""
    included: dict[Path, list[Path]] = {}
    for path, content in _contents(folder):
        if _holds_itself(content, ()):
            return f"{path} contains itself: an alias (*name) stands inside its own anchor (&name)"
        defaults = content.get("defaults") if isinstance(content, dict) else None
        names = [entry.partition("@")[0] for entry in defaults or [] if isinstance(entry, str)]
        included[path] = [
            (folder / name[1:] if name.startswith("/") else path.parent / name).with_suffix(".yaml") for name in names
        ]
    for path, ahead in included.items():
        seen: set[Path] = set()
        ahead = list(ahead)
        while ahead:
            place = ahead.pop()
            if place == path:
                return f"{path} contains itself: its defaults lead back to it"
            if place not in seen:
                seen.add(place)
                ahead += included.get(place, [])
    return ""


def _holds_itself(value: Any, outer: tuple[int, ...]) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return id(value) in outer or any(_holds_itself(one, (*outer, id(value))) for one in inner)
