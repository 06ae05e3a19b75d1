"""The identity of a run: the hash of the whole resolved configuration minus what cannot change the science."""

import dataclasses
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from hybridsep.config.keys import keys, kind_of
from hybridsep.config.ranges import Home, bare
from hybridsep.config.schema import Config

# Keys of earlier versions, in their records, that could not change the science either.
_FORMER_KEYS = ("kernels",)


def science(config: Config | dict[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved configuration that can change what a trial learns, as nested dictionaries.

    Keys that are marked `carried_out` in the schema are left out, and so is a key at the default that the schema itself
    states. So a key that is added later, with a default that means "as before", leaves the identities of finished runs
    as they are; such a default is never edited.
    """
    tree = _plain(config)
    kept = _science(tree, Config)
    # All other choices of images are made again from the kept predictions; this one decides what is trained on.
    if tree.get("evaluation", {}).get("subset") == "heldout":
        kept["evaluation"] = tree["evaluation"]
    return kept


def _plain(config: Config | dict[str, Any]) -> dict[str, Any]:
    return dataclasses.asdict(config) if isinstance(config, Config) else config


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
    """Return a resolved configuration as a record keeps it: of folders and files the last name only.

    Those are the keys of the type `Folder`, and every text in `data.source` that is a path.
    """
    places = _places()

    def shortened(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shortened(f"{key}.{name}" if key else name, inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [shortened(key, inner) for inner in value]
        is_place = key in places or key.startswith("data.source.")
        is_path = isinstance(value, str) and "/" in value and "://" not in value
        return Path(value).name if is_place and is_path else value

    return {key: shortened(key, value) for key, value in config.items() if key != "overrides"}


def overrides_without_places(config: Config) -> list[str]:
    """Return the overrides of the command line as a record keeps them: of folders and files the last name only."""
    places = _places()
    kept = []
    for override in config.overrides:
        key, equals, value = override.partition("=")
        if key.lstrip("+") in places:
            value = Path(value.strip("'\"")).name
        # In any other value a path is told by its beginning: `model=variant/dense` is a name, `http://...` an address.
        kept.append(key + equals + re.sub(r"(?<![^='\",:\[{])(?:file://)?(?:/(?!/)|~)[^'\",\]}]*/", "", value))
    return kept


@cache
def _places() -> tuple[str, ...]:
    """Return the dotted keys that hold the place of a folder or file."""
    return tuple(
        key
        for key in keys(Config)
        if any(isinstance(limit, Home) for limit in bare(kind_of(Config, key.split(".")))[1])
    )


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
    before, after = (flatten(science(without_places(plain))) for plain in (_plain(old), _plain(new)))
    keys = sorted(before.keys() | after.keys())
    return [
        f"{key} {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in keys
        if before.get(key, ...) != after.get(key, ...)
    ]
