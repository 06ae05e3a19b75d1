"""The identity of a run: the hash of the whole resolved configuration minus what cannot change the science."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from hybridsep.config.schema import Config

# Keys of earlier versions, in their records, that could not change the science either.
_FORMER_KEYS = ("kernels",)


def science(config: Config | dict[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved configuration that can change what a trial learns, as nested dictionaries.

    Keys that are marked `carried_out` in the schema are left out, and so is a key at the default that the schema itself
    states. So a key that is added later, with a default that means "as before", leaves the identities of finished runs
    as they are; such a default is never edited.
    """
    tree = dataclasses.asdict(config) if isinstance(config, Config) else config
    kept = _science(tree, Config)
    # All other choices of images are made again from the kept predictions; this one decides what is trained on.
    if tree.get("evaluation", {}).get("subset") == "heldout":
        kept["evaluation"] = tree["evaluation"]
    return kept


def _science(node: dict[str, Any], schema: type) -> dict[str, Any]:
    entries = {entry.name: entry for entry in dataclasses.fields(schema)}
    kept: dict[str, Any] = {}
    for key, value in node.items():
        entry = entries.get(key)
        if entry is None:
            if key not in _FORMER_KEYS:
                kept[key] = value
        elif "carried_out" not in entry.metadata and entry.default != value:
            kept[key] = value
            if isinstance(value, dict) and isinstance(entry.type, type) and dataclasses.is_dataclass(entry.type):
                kept[key] = _science(value, entry.type)
            elif inside := entry.metadata.get("carried_out_inside"):
                kept[key] = {name: inner for name, inner in value.items() if name not in inside}
    return kept


def identity(config: Config | dict[str, Any], trial: int) -> str:
    """Return 16 hexadecimal digits: the hash of `science(config)` and the trial. Equal digits mean the same run."""
    text = json.dumps({"trial": trial, **science(config)}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def without_places(config: dict[str, Any]) -> dict[str, Any]:
    """Return a resolved configuration as a record keeps it: of folders and files the last name only."""

    def last(node: dict[str, Any], *keys: str) -> dict[str, Any]:
        return {key: Path(value).name if key in keys and value else value for key, value in node.items()}

    source = last(config["data"]["source"], "root", "path", "cache")
    data = {**last(config["data"], "path"), "source": source}
    kept = {key: value for key, value in config.items() if key != "overrides"}
    return {**last(kept, "results", "data_dir"), "data": data}


def overrides_without_places(config: Config) -> list[str]:
    """Return the overrides of the command line as a record keeps them: of folders and files the last name only."""
    place = re.compile(r"(\+*(?:results|data_dir|data\.path|data\.source\.(?:root|path|cache))=)(.*)")
    kept = []
    for override in config.overrides:
        match = place.fullmatch(override)
        kept.append(match[1] + Path(match[2].strip("'\"")).name if match else override)
    return kept


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `{dotted key: value}` of nested dictionaries; used to name the keys in which two configurations differ."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def differences(old: Config | dict[str, Any], new: Config | dict[str, Any]) -> list[str]:
    """Return one text per scientific key in which two resolved configurations differ: `schedule.epochs 190 -> 5`."""
    before, after = flatten(science(old)), flatten(science(new))
    keys = sorted(before.keys() | after.keys())
    return [
        f"{key} {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in keys
        if before.get(key, ...) != after.get(key, ...)
    ]
