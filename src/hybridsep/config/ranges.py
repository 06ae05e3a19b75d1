"""Ranges stated in the type of a key, `Annotated[int, Interval(ge=1, le=1024)]`, and the one check of them all.

The constraints are those of the library annotated-types, and two of ours for text. `doc` adds words to the message.
"""

import dataclasses
import math
import re
import types
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from annotated_types import DocInfo, Ge, GroupedMetadata, Gt, Interval, Le, Lt, MaxLen, MinLen, MultipleOf
from omegaconf import DictConfig, OmegaConf

from hybridsep.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class OneOf:
    """A text that is one of `values`."""

    values: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Matches:
    """A text that the regular expression `pattern` describes, and people as `allowed`."""

    pattern: str
    allowed: str


Count = Annotated[int, Interval(ge=1, le=1_000_000)]
Positive = Annotated[float, Gt(0)]
Fraction = Annotated[float, Interval(ge=0, lt=1)]
Device = Annotated[str, Matches(r"(?s)(auto|cpu|cuda)(:.*)?", "choose auto, cpu, cuda")]
Threads = Annotated[int, Interval(ge=1, le=1024)]

_HOLDS = {
    Ge: lambda value, limit: value >= limit.ge,
    Gt: lambda value, limit: value > limit.gt,
    Le: lambda value, limit: value <= limit.le,
    Lt: lambda value, limit: value < limit.lt,
    MultipleOf: lambda value, limit: value % limit.multiple_of == 0,
    MinLen: lambda value, limit: len(value) >= limit.min_length,
    MaxLen: lambda value, limit: len(value) <= limit.max_length,
    OneOf: lambda value, limit: value in limit.values,
    Matches: lambda value, limit: re.fullmatch(limit.pattern, value) is not None,
}


def check_ranges(config: Any, prefix: str = "") -> None:
    """Raise ConfigError for the first value outside the range in its type.

    `config` is a dataclass or an OmegaConf node typed by one. The message names the dotted key and what is allowed.
    """
    schema = OmegaConf.get_type(config) if isinstance(config, DictConfig) else type(config)
    for name, kind in _types(schema).items():
        value = getattr(config, name) if dataclasses.is_dataclass(kind) or _constrained(kind) else None
        if dataclasses.is_dataclass(kind):
            if not (isinstance(value, DictConfig) or dataclasses.is_dataclass(value)):
                raise refuse(f"{prefix}{name}", value, "a group of keys")
            check_ranges(value, f"{prefix}{name}.")
        elif value is not None:
            _check(kind, f"{prefix}{name}", value, "")


def refuse(key: str, value: Any, allowed: str) -> ConfigError:
    """Return the error that a value is not allowed, for the caller to raise."""
    items = list(value) if OmegaConf.is_list(value) else value
    shown = "[" + ",".join(map(str, items)) + "]" if isinstance(items, list | tuple) else str(items)
    return ConfigError(f"{key}={shown} is not allowed: {allowed}")


@cache
def _types(schema: type) -> dict[str, Any]:
    return get_type_hints(schema, include_extras=True)


def _constrained(kind: Any) -> bool:
    return get_origin(kind) is Annotated or any(_constrained(part) for part in get_args(kind))


def _check(kind: Any, key: str, value: Any, null: str) -> None:
    if get_origin(kind) in (Union, types.UnionType):  # Annotated[...] | None
        kind, null = get_args(kind)[0], ", or null"
    base, limits = _limits(kind)
    text = isinstance(value, str)
    finite = text or not isinstance(value, float) or math.isfinite(value)
    # OmegaConf checks types when a value is set, but not what an interpolation such as ${seed} leads to.
    listed = OmegaConf.is_list(value) or isinstance(value, list)
    fits = listed == (get_origin(base) is list) and text == (base is str) and not OmegaConf.is_dict(value)
    holds = (_HOLDS[type(limit)](value, limit) for limit in limits if type(limit) in _HOLDS)
    if not (fits and finite and all(holds)):
        raise refuse(key, value, _allowed(kind, null))
    if get_origin(base) is list:
        for item in value:
            _check(get_args(base)[0], key, item, "")


def _limits(kind: Any) -> tuple[Any, list[Any]]:
    """Return the bare type and its constraints, one by one."""
    if get_origin(kind) is not Annotated:
        return kind, []
    base, *limits = get_args(kind)
    return base, [one for limit in limits for one in (limit if isinstance(limit, GroupedMetadata) else [limit])]


def _allowed(kind: Any, null: str = "") -> str:
    """Return in words what a type allows: `a whole number from 1 to 1024, or null`."""
    base, limits = _limits(kind)
    said = {type(limit): limit for limit in limits}
    if Matches in said or OneOf in said:
        text = said[Matches].allowed if Matches in said else "choose " + ", ".join(said[OneOf].values)
    elif get_origin(base) is list:
        exactly = MaxLen in said and said[MaxLen].max_length == said[MinLen].min_length
        number = f"{said[MinLen].min_length}" if exactly else f"{said[MinLen].min_length} or more"
        text = f"a list of {number}, each {_allowed(get_args(base)[0])}"
    else:
        text = f"a multiple of {said[MultipleOf].multiple_of}" if MultipleOf in said else ""
        text = text or ("a whole number" if base is int else "a finite number")
        if Ge in said:
            text += f" from {said[Ge].ge}" if Le in said or Lt in said else f" of at least {said[Ge].ge}"
        if Gt in said:
            text += f" above {said[Gt].gt}"
        if Le in said:
            text += f" to {said[Le].le}" if Ge in said else f", at most {said[Le].le}"
        if Lt in said:
            text += f" to below {said[Lt].lt}" if Ge in said else f" and below {said[Lt].lt}"
    more = f", {said[DocInfo].documentation}" if DocInfo in said else ""
    return text + (more if "null" in more else null + more)
