"""Ranges stated in the type of a key, `Annotated[int, Interval(ge=1, le=1024)]`, and what they allow, in words.

The constraints are those of the library annotated-types, and two of ours for text; pydantic checks them
(`hybridsep.config.validation`). `doc` adds words to the message.
"""

import dataclasses
import re
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import DocInfo, Ge, GroupedMetadata, Gt, Interval, Le, Lt, MaxLen, MinLen, MultipleOf


class _Text:
    """A constraint on text, which pydantic asks for its schema."""

    def accept(self, value: str) -> str:
        """Return the value, perhaps in another form. Raises ValueError when it is not allowed."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self.accept, handler(source))


@dataclasses.dataclass(frozen=True)
class Matches(_Text):
    """A text that the regular expression `pattern` describes, and people as `allowed`."""

    pattern: str
    allowed: str

    def accept(self, value: str) -> str:
        if re.fullmatch(self.pattern, value) is None:
            raise ValueError
        return value


@dataclasses.dataclass(frozen=True)
class Home(_Text):
    """A path in which `~` stands for the home folder, also where no shell has put it in."""

    def accept(self, value: str) -> str:
        if not value:
            raise ValueError
        return expand_home(value)


def expand_home(path: str) -> str:
    """Return a path with `~` and `~name` at its beginning replaced; as it is where there is no such home."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError:
        raise ValueError(f"{path}: no such user") from None


Count = Annotated[int, Interval(ge=1, le=1_000_000)]
Positive = Annotated[float, Gt(0)]
Fraction = Annotated[float, Interval(ge=0, lt=1)]
Device = Annotated[str, Matches(r"(?s)(auto|cpu|cuda)(:.*)?", "choose auto, cpu, cuda")]
Threads = Annotated[int, Interval(ge=1, le=1024)]
Folder = Annotated[str, Home()]

_KINDS = {int: "a whole number", float: "a finite number", bool: "true or false"}


def is_union(kind: Any) -> bool:
    """Return whether a type is one of several, written `int | str`."""
    return get_origin(kind) in (Union, types.UnionType)


def bare(kind: Any) -> tuple[Any, list[Any], bool]:
    """Return a type without its constraints, the constraints one by one, and whether null is allowed."""
    null = False
    if is_union(kind) and type(None) in get_args(kind):  # Annotated[...] | None
        others = tuple(part for part in get_args(kind) if part is not type(None))
        kind, null = (others[0] if len(others) == 1 else Union.__getitem__(others)), True
    if get_origin(kind) is not Annotated:
        return kind, [], null
    base, *limits = get_args(kind)
    each = [one for limit in limits for one in (limit if isinstance(limit, GroupedMetadata) else [limit])]
    inner, more, inner_null = bare(base)
    return inner, [*more, *each], null or inner_null


def allowed(kind: Any) -> str:
    """Return in words what a type allows: `a whole number from 1 to 1024, or null`."""
    base, limits, null = bare(kind)
    stated = {type(limit): limit for limit in limits}
    if Matches in stated:
        text = stated[Matches].allowed
    elif get_origin(base) is Literal:
        text = "choose " + ", ".join(map(str, get_args(base)))
    elif get_origin(base) in (list, tuple, Sequence):
        length = ""
        if get_origin(base) is tuple and Ellipsis not in get_args(base):
            length = f" of {len(get_args(base))}"
        elif MinLen in stated:
            exactly = MaxLen in stated and stated[MaxLen].max_length == stated[MinLen].min_length
            length = f" of {stated[MinLen].min_length}" if exactly else f" of {stated[MinLen].min_length} or more"
        text = f"a list{length}, each {allowed(get_args(base)[0])}"
    elif is_union(base):
        text = " or ".join(allowed(part) for part in get_args(base))
    elif base in (int, float):
        text = _number(base, stated)
    elif get_origin(base) is dict or dataclasses.is_dataclass(base):
        text = "a group of keys"
        if dataclasses.is_dataclass(base):
            text += ": " + ", ".join(entry.name for entry in dataclasses.fields(base))
    elif base is Any:
        return str(stated[DocInfo].documentation) if DocInfo in stated else "anything"
    else:
        text = "a path" if Home in stated else _KINDS.get(base, "text")
    more = f", {stated[DocInfo].documentation}" if DocInfo in stated else ""
    return text + (", or null" if null and "null" not in more else "") + more


def _number(base: type, stated: dict[type, Any]) -> str:
    text = f"a multiple of {stated[MultipleOf].multiple_of}" if MultipleOf in stated else _KINDS[base]
    if Ge in stated:
        text += f" from {stated[Ge].ge}" if Le in stated or Lt in stated else f" of at least {stated[Ge].ge}"
    if Gt in stated:
        text += f" above {stated[Gt].gt}"
    if Le in stated:
        text += f" to {stated[Le].le}" if Ge in stated else f", at most {stated[Le].le}"
    if Lt in stated:
        text += f" to below {stated[Lt].lt}" if Ge in stated else f" and below {stated[Lt].lt}"
    return text
