"""Which module a network is built of, with which keywords."""

import inspect
import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Union, get_args, get_origin, get_type_hints

from torch import nn

from hybridsep.errors import ConfigError

CONTRACT = (
    "a module is an nn.Module with a constructor (in_chs, out_chs, *, keywords) "
    "and maps (N, in_chs, H, W) to (N, out_chs, H, W) at stride 1"
)


@dataclass(frozen=True)
class ModuleFactory:
    """A module class and its keyword arguments; `factory(in_chs, out_chs)` builds one.

    Raises ConfigError, naming `model.module.<keyword>`, when a keyword is unknown, missing or of the wrong type, and
    naming the class when it is not a module, or when its constructor fails.
    """

    cls: type[nn.Module]
    keywords: Mapping[str, Any]

    def __post_init__(self) -> None:
        expected = keyword_types(self.cls)
        for name, value in self.keywords.items():
            if name not in expected:
                raise ConfigError(f"model.module.{name}: unknown to {self.cls.__name__}; allowed: {_listed(expected)}")
            if not any(_is_a(value, kind) for kind in expected[name]):
                kinds = " or ".join(kind.__name__ for kind in expected[name])
                raise ConfigError(f"model.module.{name}: {value!r} is not allowed; {kinds} is")
        missing = [name for name in expected if name not in self.keywords]
        if missing:
            raise ConfigError(f"model.module.{missing[0]}: missing; {self.cls.__name__} needs {_listed(expected)}")

    def __call__(self, in_chs: int, out_chs: int) -> nn.Module:
        """Build the module: (N, in_chs, H, W) -> (N, out_chs, H, W)."""
        try:
            return self.cls(in_chs, out_chs, **self.keywords)
        except ConfigError:
            raise
        except Exception as error:
            words = [str(in_chs), str(out_chs), *(f"{name}={value!r}" for name, value in self.keywords.items())]
            call = f"{self.cls.__name__}({', '.join(words)})"
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(f"model.module: {call} fails ({said}); {CONTRACT}") from error

    def with_keywords(self, **changes: Any) -> "ModuleFactory":
        """Return a factory with some keywords changed."""
        return replace(self, keywords={**self.keywords, **changes})


def keyword_types(cls: type[nn.Module]) -> dict[str, tuple[type, ...]]:
    """Return the keyword-only parameters of a module's constructor and the types each accepts.

    Raises ConfigError when `cls` is no module, does not take two widths by position, or a keyword's type is not stated.
    """
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise ConfigError(f"model.module: {getattr(cls, '__name__', cls)} is not a module; {CONTRACT}")
    parameters = inspect.signature(cls).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    try:
        inspect.signature(cls).bind(1, 1, **dict.fromkeys(names))
        hints = get_type_hints(cls.__init__)
    except (TypeError, NameError) as error:
        raise ConfigError(f"model.module: {cls.__name__}{inspect.signature(cls)} ({error}); {CONTRACT}") from None
    for name in names:
        if name not in hints:
            raise ConfigError(f"model.module: {cls.__name__} does not state the type of {name}; write {name}: int, say")
    return {name: _alternatives(hints[name]) for name in names}


def _alternatives(hint: Any) -> tuple[type, ...]:
    """The types of `int | str`, and of `list[int]` the list: what `isinstance` takes."""
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    found = tuple(get_origin(kind) or kind for kind in kinds)
    return tuple(kind if isinstance(kind, type) else object for kind in found)


def _is_a(value: Any, kind: type) -> bool:
    if kind is object:
        return True
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "no keywords"
