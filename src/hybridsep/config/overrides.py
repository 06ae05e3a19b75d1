"""A YAML file with `key=value` words laid over it, for the commands that need no more of Hydra than that."""

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybridsep.config.identity import flatten
from hybridsep.errors import ConfigError

Schema = TypeVar("Schema")


def load(schema: type[Schema], path: Path, words: list[str], *, others: str) -> Schema:
    """Return the dataclass `schema` with the values of the file at `path` and those of `words`, each `key=value`.

    `others` names what else the command takes, for the message. Raises ConfigError naming key and allowed values.
    """
    tree = OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.load(path))
    keys = sorted(flatten(OmegaConf.to_container(tree)))
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"'{word}' is not key=value, {others}")
        if key not in keys:
            close = difflib.get_close_matches(key, [*keys, *(name.split(".")[-1] for name in keys)], n=1)
            hint = f" (did you mean {next(k for k in keys if k.endswith(close[0]))}?)" if close else ""
            raise ConfigError(f"unknown key '{key}'{hint}; allowed are {', '.join(keys)}")
        try:
            OmegaConf.update(tree, key, _value(value, listed=isinstance(OmegaConf.select(tree, key), ListConfig)))
        except (OmegaConfBaseException, yaml.YAMLError) as error:
            reason = re.sub(r"\s+", " ", str(error).splitlines()[0])
            raise ConfigError(f"{word} has the wrong type: {reason}") from None
    return OmegaConf.to_object(tree)


def _value(text: str, *, listed: bool) -> Any:
    if text in ("null", "None"):
        return None
    if not listed:
        return text
    # `models=hybrid` is as good as `models=[hybrid]`.
    return yaml.safe_load(text if text.startswith("[") else f"[{text}]")


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file, by the parser in C: it takes a tenth of the time of `yaml.safe_load`."""
    return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def describe(path: Path) -> str:
    """Return every key of the file with its value, one per line."""

    def shown(value: Any) -> str:
        return "[" + ",".join(map(str, value)) + "]" if isinstance(value, list) else str(value)

    flat = flatten(OmegaConf.to_container(OmegaConf.load(path)))
    return "\n".join(f"  {key}={'null' if value is None else shown(value)}" for key, value in flat.items())
