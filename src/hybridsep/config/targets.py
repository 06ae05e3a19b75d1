"""From a dotted name in a configuration to the class or function it names, and the keywords it takes."""

import dataclasses
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, get_type_hints

from hybridsep.config.validation import validate
from hybridsep.errors import ConfigError


def locate(target: Any, key: str) -> Callable[..., Any]:
    """Return what `package.module.Name` names; `key` is the group it stands in, for the message.

    A module that is not installed is looked for in the current folder, last. Raises ConfigError.
    """
    name = f"{key}._target_"
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")) or "." not in target:
        raise ConfigError(f"{name}={target} is not allowed: a name such as my_modules.MyModule")
    if importlib.util.find_spec(target.split(".")[0]) is None and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    located: Any = _module(target.split("."), name)
    for part in target[len(located.__name__) :].strip(".").split("."):
        try:
            located = getattr(located, part)
        except AttributeError:
            raise ConfigError(f"{name}={target}: {located.__name__} has no {part}") from None
    if not callable(located):
        raise ConfigError(f"{name}={target} is not a class or a function")
    return located


def _module(parts: list[str], name: str) -> Any:
    """Return the module that a dotted name begins with, imported: of the longest beginning that is one."""
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise ConfigError(f"{name}={'.'.join(parts)}: {module} cannot be imported: {error}") from error
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(f"{name}={'.'.join(parts)}: {module} cannot be imported: {said}") from error
    raise ConfigError(f"{name}={'.'.join(parts)}: there is no module {parts[0]}, installed or in the current folder")


def check_keywords(
    call: Callable[..., Any],
    keywords: Mapping[str, Any],
    key: str,
    *,
    positional: int = 0,
    supplied: Collection[str] = (),
) -> dict[str, Any]:
    """Return the keyword arguments with which to call a class or function: those given, and its defaults.

    Values are checked against the types and ranges that its signature states. `positional`: how many arguments the
    program passes by position; `supplied`: the names of those it passes by keyword. Raises ConfigError, one line that
    names every wrong key below `key` and what is allowed.
    """
    name = getattr(call, "__name__", str(call))
    try:
        parameters = list(inspect.signature(call).parameters.values())[positional:]
        kinds = get_type_hints(inspect.unwrap(_function(call)), include_extras=True)
    except (TypeError, ValueError, NameError) as error:
        raise ConfigError(f"{key}: the signature of {name} cannot be read: {error}") from None
    by_name = {
        one.name: one
        for one in parameters
        if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY) and one.name not in supplied
    }
    defaults = {keyword: one.default for keyword, one in by_name.items() if one.default is not one.empty}
    # pydantic does not look at a default, and None is one that every dataclass may have.
    default = {keyword: dataclasses.field(default=None) for keyword in defaults}
    entries = [(keyword, kinds.get(keyword, Any), default.get(keyword, dataclasses.field())) for keyword in by_name]
    schema = dataclasses.make_dataclass("Keywords", entries, kw_only=True)
    open_ended = any(one.kind is one.VAR_KEYWORD for one in parameters)
    known = {keyword: value for keyword, value in keywords.items() if keyword in by_name or not open_ended}
    validate(schema, known, f"{key}.", exact=True, otherwise=f"{name} takes {', '.join(by_name) or 'no keywords'}")
    return {**defaults, **keywords}


def _function(call: Callable[..., Any]) -> Callable[..., Any]:
    return vars(call).get("__init__", call) if isinstance(call, type) else call
