"""The one check of values against the types and ranges that a schema states, by pydantic."""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from hybridsep.config.keys import fields, hint, is_group, keys, kind_of
from hybridsep.config.ranges import allowed, bare, is_union
from hybridsep.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

Schema = TypeVar("Schema")


def validate(schema: type[Schema], tree: Mapping[str, Any], prefix: str = "") -> Schema:
    """Return the dataclass `schema` made of nested dictionaries, every value checked.

    Raises ConfigError, one line that names every wrong key and what is allowed there.
    """
    from pydantic import ValidationError  # takes 0.2 s, which `--help` need not wait for

    try:
        checked: Schema = _adapter(schema).validate_python(tree)  # type: ignore[arg-type]
        return checked
    except ValidationError as error:
        wrong = (_explain(schema, detail, prefix) for detail in error.errors(include_url=False, include_context=False))
        raise ConfigError("; ".join(dict.fromkeys(wrong))) from None


def refuse(key: str, value: Any, allowed: str) -> ConfigError:
    """Return the error that a value is not allowed, for the caller to raise."""
    shown = "[" + ",".join(map(str, value)) + "]" if isinstance(value, list | tuple) else str(value)
    return ConfigError(f"{key}={shown} is not allowed: {allowed}")


@functools.cache
def _adapter(schema: Any) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    _forbid_unknown_keys(schema)
    return TypeAdapter(schema)


def _forbid_unknown_keys(schema: type) -> None:
    """Set what pydantic reads from a dataclass: unknown keys, and numbers that are none, are errors."""
    schema.__pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False}  # type: ignore[attr-defined]
    for kind in fields(schema).values():
        base, _, _ = bare(kind)
        if is_group(base):
            _forbid_unknown_keys(base)


def _explain(schema: type, detail: "ErrorDetails", prefix: str) -> str:
    path = detail["loc"]
    for end in range(1, len(path)):
        if is_union(bare(kind_of(schema, path[:end]))[0]):
            path = path[:end]  # what follows names one of the alternatives
            break
    key = prefix + _dotted(path)
    if detail["type"] in ("unexpected_keyword_argument", "invalid_key"):
        known = [f"{prefix}{name}" for name in keys(schema)]
        group = key.rpartition(".")[0]
        there = [name for name in known if name.rpartition(".")[0] == group] if group else []
        otherwise = "allowed are " + ", ".join(there) if there else "--help shows all keys"
        return f"{key} is not a key: {hint(key, known, otherwise)}"
    if detail["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{key} is missing: {allowed(kind_of(schema, path))}"
    a_number = detail["type"] == "string_type" and isinstance(detail["input"], int | float)
    quotes = "; in a file, text that looks like a number needs quotes" if a_number else ""
    return str(refuse(key, detail["input"], allowed(kind_of(schema, path)) + quotes))


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))
