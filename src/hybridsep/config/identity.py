"""The identity of a run: the hash of the whole resolved configuration minus what cannot change the science."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from hybridsep.config.schema import Config

# What cannot change the science: where things are, how long a process may take, labels, and choices that the report
# makes again from the kept predictions. `size` is resolved into `model.network`; `trial` is a part of its own.
_NOT_SCIENCE = {
    "": (
        "speed",
        "study",
        "row",
        "results",
        "data_dir",
        "device",
        "threads",
        "trials_at_once",
        "cuda_graph",
        "compile",
        "fail_fast",
        "max_minutes",
        "evaluation",
        "size",
        "trial",
        "kernels",  # a choice of earlier versions, in their records
    ),
    "model": ("name", "title"),
    "schedule": ("name",),
    "data": ("name", "title", "path"),
    "data.source": ("root", "path", "cache", "download", "name", "title"),
}


def science(config: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved configuration (plain dictionaries) that can change what a trial learns.

    A key at the default that the schema itself states is left out. So a key that is added later, with a default that
    means "as before", leaves the identities of finished runs as they are; such a default is never edited.
    """

    def keep(node: Any, path: str, schema: type | None) -> Any:
        if not isinstance(node, dict):
            return node
        skip = _NOT_SCIENCE.get(path, ())
        entries = {entry.name: entry for entry in dataclasses.fields(schema)} if schema else {}
        kept = {}
        for key, value in node.items():
            entry = entries.get(key)
            if key not in skip and not (entry and entry.default == value):
                inner = entry.type if entry and dataclasses.is_dataclass(entry.type) else None
                kept[key] = keep(value, f"{path}.{key}".lstrip("."), inner)
        return kept

    return keep(config, "", Config)


def identity(config: dict[str, Any], trial: int) -> str:
    """Return 16 hexadecimal digits: the hash of `science(config)` and the trial. Equal digits mean the same run."""
    text = json.dumps({"trial": trial, **science(config)}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def without_places(config: dict[str, Any]) -> dict[str, Any]:
    """Return a resolved configuration as a record keeps it: of folders and files the last name only."""

    def last(node: dict[str, Any], *keys: str) -> dict[str, Any]:
        return {key: Path(value).name if key in keys and value else value for key, value in node.items()}

    source = last(config["data"]["source"], "root", "path", "cache")
    data = {**last(config["data"], "path"), "source": source}
    return {**last(config, "results", "data_dir"), "data": data}


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `{dotted key: value}` of nested dictionaries; used to name the keys in which two configurations differ."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return one text per scientific key in which two resolved configurations differ: `schedule.epochs 190 -> 5`."""
    before, after = flatten(science(old)), flatten(science(new))
    keys = sorted(before.keys() | after.keys())
    return [
        f"{key} {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in keys
        if before.get(key, ...) != after.get(key, ...)
    ]
