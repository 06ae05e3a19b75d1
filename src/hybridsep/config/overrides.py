"""A YAML file with `key=value` overrides laid over it, for the commands that need no more of Hydra than that."""

from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml

from hybridsep.config.keys import hint, keys, kind_of
from hybridsep.config.ranges import bare
from hybridsep.config.validation import validate
from hybridsep.errors import ConfigError

Schema = TypeVar("Schema")


def load(schema: type[Schema], path: Path, overrides: list[str]) -> Schema:
    """Return the dataclass `schema` with the values of the file at `path` and those of `overrides`, each `key=value`.

    Raises ConfigError naming key and allowed values, and the file where it is the file that is wrong.
    """
    tree, known = read_yaml(path), list(keys(schema))
    validate_file(schema, tree, path)
    for override in overrides:
        key, _, value = override.partition("=")
        if key not in known:
            raise ConfigError(f"{key} is not a key: {hint(key, known, 'allowed are ' + ', '.join(known))}")
        *groups, name = key.split(".")
        node = tree
        for group in groups:
            node = node[group]
        base, _, _ = bare(kind_of(schema, key.split(".")))
        node[name] = _value(key, value, listed=get_origin(base) is list)
    return validate(schema, tree)


def _value(key: str, text: str, *, listed: bool) -> Any:
    if text in ("null", "None"):
        return None
    if not listed:
        return text
    try:
        # `models=hybrid` is as good as `models=[hybrid]`.
        return yaml.safe_load(text if text.startswith("[") else f"[{text}]")
    except yaml.YAMLError as error:
        raise ConfigError(f"{key}={text} is not a list: {str(error).splitlines()[0]}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file, by the parser in C: it takes a tenth of the time of `yaml.safe_load`.

    Raises ConfigError for a file that cannot be read, or holds no keys.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds no keys")
    return tree


def validate_file(schema: type[Schema], tree: dict[str, Any], path: Path) -> Schema:
    """Return what a YAML file holds as the dataclass `schema`. Raises ConfigError naming the file and wrong keys."""
    try:
        return validate(schema, tree)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
