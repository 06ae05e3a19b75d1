"""The keys of a schema, and the key that was meant by one that does not exist."""

import dataclasses
import difflib
import re
from collections.abc import Collection, Iterator
from typing import Any, TypeGuard, get_args, get_origin, get_type_hints

from hybridsep.config.ranges import bare


def keys(schema: type, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of a dataclass; a free group such as `model.module` is one key."""
    for name, kind in fields(schema).items():
        if is_group(kind):
            yield from keys(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def names(schema: type, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names that may be typed: the groups, each before its keys, and the keys."""
    for name, kind in fields(schema).items():
        yield f"{prefix}{name}"
        if is_group(kind):
            yield from names(kind, f"{prefix}{name}.")


def is_group(kind: Any) -> TypeGuard[type]:
    """Return whether a type is a group of keys."""
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def fields(schema: type) -> dict[str, Any]:
    """Return `{name: type with its constraints}` of a dataclass."""
    hints = get_type_hints(schema, include_extras=True)
    return {entry.name: hints[entry.name] for entry in dataclasses.fields(schema)}


def kind_of(schema: type, path: Collection[str | int]) -> Any:
    """Return the type at a path of names and positions; None where the schema says nothing of it."""
    kind: Any = schema
    for part in path:
        base, _, _ = bare(kind)
        if is_group(base):
            kind = fields(base).get(str(part))
        elif get_origin(base) is dict and get_args(base)[1] is not Any:
            kind = get_args(base)[1]
        elif isinstance(part, int) and get_args(base):
            kind = get_args(base)[0]
        else:
            return None
    return kind


def meant(key: str, known: Collection[str]) -> list[str]:
    """Return the known keys and groups that come nearest to `key`, at most three; empty when none is near.

    Keys are compared by the words of their last part, as people shorten them: `schedule.lr` and `rate` mean
    `schedule.learning_rate`, `batchsize` means `schedule.batch_size`. A key in the group that was typed counts more,
    and of two that are as near, the one in a group that is spelt like it.
    """
    group, _, leaf = key.rpartition(".")

    def likeness(candidate: str) -> tuple[float, float]:
        other_group, _, other = candidate.rpartition(".")
        likeness, of_group = _likeness(leaf, other), _likeness(group, other_group)
        return likeness + 0.2 * (bool(group) and of_group == 1 and likeness >= 0.6), of_group

    known = list(dict.fromkeys(known))
    scored = {candidate: likeness(candidate) for candidate in known}
    best = max(scored.values(), default=(0.0, 0.0))
    if best[0] < 0.6:
        return difflib.get_close_matches(key, known, n=3, cutoff=0.75)
    return [candidate for candidate, score in scored.items() if score == best][:3]


def _likeness(typed: str, known: str) -> float:
    """Return how well one name stands for another, from 0 to 1."""
    words, others = re.split(r"[_\-.]+", typed.lower()), re.split(r"[_\-.]+", known.lower())
    if "".join(words) == "".join(others):
        return 1.0
    if sorted(typed.lower()) == sorted(known.lower()):  # letters that changed places, the usual slip: `modle`
        return 0.97
    if len(others) > 1 and "".join(words) == "".join(word[:1] for word in others):
        return 0.95
    if set(words) < set(others) or set(words) > set(others):
        return 0.8
    # Each word begins one of the other, in this order: `learn_rate`, `batch`, `n_epochs` not.
    rest = iter(others)
    begins = all(len(word) > 1 and any(other.startswith(word) for other in rest) for word in words)
    return max(0.75 * begins, 0.9 * difflib.SequenceMatcher(None, typed.lower(), known.lower()).ratio())


def hint(key: str, known: Collection[str], otherwise: str) -> str:
    """Return the end of a message about an unknown key: what was meant, else `otherwise`."""
    near = meant(key, known)
    return f"did you mean {' or '.join(near)}?" if near else otherwise
