"""The one check of values against the types and ranges that a schema states, by pydantic."""

import functools
import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from hybridsep.config.keys import fields, hint, is_group, kind_of, names
from hybridsep.config.ranges import allowed, bare, is_union
from hybridsep.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

Schema = TypeVar("Schema")


def validate(
    schema: type[Schema],
    tree: Mapping[str, Any],
    prefix: str = "",
    *,
    exact: bool = False,
    otherwise: str = "",
    further: Collection[str] = (),
) -> Schema:
    """Return the dataclass `schema` made of nested dictionaries, every value checked.

    `exact`: text is no number, and `1` is not true. `otherwise`: what is said of a key that comes near no other.
    `further`: names that can be typed too, and may have been meant. Raises ConfigError, one line that names every wrong
    key below `prefix` and what is allowed there.
    """
    from pydantic import ValidationError  # takes 0.2 s, which `--help` need not wait for

    try:
        # Exactly as JSON, in which a configuration is kept: a list is what a tuple or a sequence is written as.
        adapter: TypeAdapter[Schema] = _adapter(schema)  # type: ignore[arg-type]
        return adapter.validate_json(json.dumps(tree), strict=True) if exact else adapter.validate_python(tree)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        wrong = (_explain(schema, detail, prefix, otherwise, further) for detail in details)
        raise ConfigError("; ".join(dict.fromkeys(wrong))) from None


def refuse(key: str, value: Any, allowed: str) -> ConfigError:
    """Return the error that a value is not allowed, for the caller to raise."""
    return ConfigError(f"{key}={_typed(value)} is not allowed: {allowed}")


def _typed(value: Any) -> str:
    """Return a value as it is typed."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(map(_typed, value)) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@functools.lru_cache(maxsize=32)
def _adapter(schema: Any) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    _forbid_unknown_keys(schema)
    return TypeAdapter(schema)


def _forbid_unknown_keys(schema: type) -> None:
    """Set what pydantic reads from a dataclass: unknown keys, and numbers that are none, are errors."""
    exactly = {"extra": "forbid", "allow_inf_nan": False, "arbitrary_types_allowed": True}
    schema.__pydantic_config__ = exactly  # type: ignore[attr-defined]
    for kind in fields(schema).values():
        base, _, _ = bare(kind)
        for inner in (base, *get_args(base)):  # a group, or a list or a dictionary of groups
            if is_group(inner):
                _forbid_unknown_keys(inner)


def _explain(schema: type, detail: "ErrorDetails", prefix: str, otherwise: str, further: Collection[str]) -> str:
    path, alternatives = detail["loc"], False
    for end in range(1, len(path)):
        if alternatives := is_union(bare(kind_of(schema, path[:end]))[0]):
            path = path[:end]  # what follows names one of the alternatives
            break
    key = prefix + _dotted(path)
    if detail["type"] in ("unexpected_keyword_argument", "invalid_key"):
        known, name = [*names(schema), *further], _dotted(path)
        group, (base, _, _) = name.rpartition(".")[0], bare(kind_of(schema, path[:-1]))
        there = [f"{group}.{entry}" for entry in fields(base)] if group and is_group(base) else []
        known += [entry for entry in there if entry not in known]
        otherwise = otherwise or ("allowed are " + ", ".join(there) if there else "--help shows all keys")
        return f"{key} is not a key: {hint(name, known, otherwise)}"
    if detail["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{key} is missing: {allowed(kind_of(schema, path))}"
    a_number = detail["type"] == "string_type" and isinstance(detail["input"], int | float) and not alternatives
    quotes = "; in a file, text that looks like a number needs quotes" if a_number else ""
    return str(refuse(key, detail["input"], allowed(kind_of(schema, path)) + quotes))


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))
