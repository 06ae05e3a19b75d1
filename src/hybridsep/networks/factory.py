"""The slot of a network: which module stands in it, with which keywords. It builds the module and knows its cost."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args, get_type_hints

from torch import nn

from hybridsep.errors import ConfigError
from hybridsep.modules.cost import Cost


@dataclass(frozen=True)
class ModuleFactory:
    """A module class and its keyword arguments; `slot(in_chs, out_chs)` builds one.

    Raises ConfigError, naming `model.module.<keyword>`, when a keyword is unknown, missing or of the wrong type.
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
        return self.cls(in_chs, out_chs, **self.keywords)

    def cost(self, in_chs: int, out_chs: int, height: int, width: int) -> Cost:
        """Return the module's cost without building it."""
        return self.cls.cost(in_chs, out_chs, height, width, **self.keywords)

    def with_keywords(self, **changes: Any) -> "ModuleFactory":
        """Return a slot with some keywords changed."""
        return replace(self, keywords={**self.keywords, **changes})


def keyword_types(cls: type[nn.Module]) -> dict[str, tuple[type, ...]]:
    """Return the keyword-only parameters of a module's constructor and the types each accepts."""
    hints = get_type_hints(cls.__init__)
    parameters = inspect.signature(cls).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    return {name: get_args(hints[name]) or (hints[name],) for name in names}


def _is_a(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "no keywords"
