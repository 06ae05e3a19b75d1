"""Errors of Hydra, OmegaConf and YAML in one line, in this program's words."""

import logging
import os
import re
import traceback

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hybridsep.config import Config, config_dir, groups
from hybridsep.config.keys import kind_of, meant
from hybridsep.config.ranges import allowed, bare
from hybridsep.errors import UserError

# Hydra logs its errors too, and Python prints what no handler takes: they are said once, here.
logging.getLogger("hydra").addHandler(logging.NullHandler())

_LONGEST = 800  # characters of an error's line; a value can be of any length
_NOISE = re.compile(r"(full_key:|object_type=|reference_type=|Config search path|provider=)")
_EXTRAS = {"hydra_joblib_launcher": "joblib", "launchers_of_hybridsep": "slurm", "hydra_ray_launcher": "ray"}


def explain(error: BaseException) -> str:
    """Return an error as one line, with the nearest key for one that does not exist.

    Of an error that nobody foresaw the line names the type, and HYBRIDSEP_TRACEBACK=1 prints where it was raised.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        return _short(_no_such_choice(str(error.missing_cfg_file), list(error.options)))
    text = _short(_lines(error))
    in_our_words = _of_hydra(text)  # Hydra also raises RuntimeError
    if in_our_words or isinstance(error, HydraException | OmegaConfBaseException | UserError | YAMLError):
        return in_our_words or text or type(error).__name__
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


def _of_hydra(text: str) -> str:
    """Return what Hydra says of an override or a launcher in other words; empty when it is about something else."""
    if several := re.match(r"Ambiguous value for argument '\+*(([\w.]+)=(.*?))' 1\. To use it", text):
        kind, _, _ = bare(kind_of(Config, several[2].split(".")))
        listed = several[2] == "trial" or getattr(kind, "__origin__", None) is list
        as_list = f"type {several[2]}=[{several[3]}], or " if listed else ""
        return f"{several[1]} names several: {as_list}add -m to do one after the other"
    if unknown := re.search(r"Could not override '([^']+)'", text):
        return f"{unknown[1]} is not a key of the file that is chosen"
    if wrong := re.match(r"Error merging override \+*(([\w.]+)=.*?) (Value|Unexpected type) ", text):
        kind = kind_of(Config, wrong[2].split("."))
        if kind is not None:
            return f"{wrong[1]} is not allowed: {allowed(kind)}"
    launcher = re.search(r"Unknown plugin class : 'hydra_plugins\.(\w+)\.", text)
    if launcher and launcher[1] in _EXTRAS:
        return f"this launcher is not installed: pip install 'hybridsep[{_EXTRAS[launcher[1]]}]'"
    return ""


def _no_such_choice(missing: str, options: list[str]) -> str:
    group = next((group for group in groups() if missing.startswith(f"{group}/")), missing.rpartition("/")[0])
    name = missing.removeprefix(f"{group}/")
    former = re.fullmatch(r"(\w+)_(quick|small)", name) if group == "experiment" else None
    if former and former[1] in options:
        return f"experiment={name} is now called experiment={former[1]} scale={former[2]}"
    if group == "model" and (former := re.fullmatch(r"(variant/)?separable_depth(\d+)(_residual)?", name)):
        keys = f"model.network.depth={former[2]} model.network.residual={str(bool(former[3])).lower()}"
        return (
            f"model={name} is now model=separable {keys} row={name.removeprefix('variant/')} (or experiment=residual)"
        )
    variants = sorted((config_dir() / group).glob("variant/*.yaml"))
    there = [*options, *(f"variant/{path.stem}" for path in variants)]
    short = name.rpartition("/")[2].removesuffix(".yaml")
    near = [one for one in there if one.rpartition("/")[2] == short] or meant(name, there)
    if near:
        return f"{group}={name} is not there: did you mean {' or '.join(f'{group}={one}' for one in near)}?"
    return f"{group}={name} is not there: allowed are {', '.join(there)}"
