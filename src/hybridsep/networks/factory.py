"""Which module a network is built of, with which keywords."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from hybridsep.config.targets import check_keywords
from hybridsep.errors import ConfigError

CONTRACT = (
    "a module is an nn.Module with a constructor (in_chs, out_chs, keywords) "
    "and maps (N, in_chs, H, W) to (N, out_chs, H, W) at stride 1"
)


@dataclass(frozen=True)
class ModuleFactory:
    """A module class and its keyword arguments; `factory(in_chs, out_chs)` builds one.

    Raises ConfigError, naming `model.module.<keyword>`, when a keyword is unknown, missing or out of range, and naming
    the class when it is not a module, or when its constructor fails.
    """

    cls: type[nn.Module]
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = getattr(self.cls, "__name__", str(self.cls))
        if not (isinstance(self.cls, type) and issubclass(self.cls, nn.Module)):
            raise ConfigError(f"model.module: {name} is not a module; {CONTRACT}")
        try:
            inspect.signature(self.cls).bind_partial(1, 1)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"model.module: {name}{inspect.signature(self.cls)} ({error}); {CONTRACT}") from None
        check_keywords(self.cls, self.keywords, "model.module", positional=2)

    def __call__(self, in_chs: int, out_chs: int) -> nn.Module:
        """Build the module: (N, in_chs, H, W) -> (N, out_chs, H, W)."""
        try:
            return self.cls(in_chs, out_chs, **self.keywords)
        except ConfigError:
            raise
        except Exception as error:
            words = [str(in_chs), str(out_chs), *(f"{name}={value!r}" for name, value in self.keywords.items())]
            call = f"{self.cls.__name__}({', '.join(words)})"
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(f"model.module: {call} fails ({reason}); {CONTRACT}") from error

    def with_keywords(self, **changes: Any) -> "ModuleFactory":
        """Return a factory with some keywords changed."""
        return replace(self, keywords={**self.keywords, **changes})
