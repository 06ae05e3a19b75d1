"""The command line before Hydra reads it: text is quoted, and a refusal says what to type instead.

Hydra reads `study=1.10` as the number 1.1, lays the files of `model=[a,b]` over each other, and cannot read
`results=~/x`.
"""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, RangeSweep
from hydra.errors import HydraException

from hybridsep.config import Config, config_dir, groups
from hybridsep.config.keys import hint, kind_of, names
from hybridsep.config.ranges import allowed, bare, expand_home
from hybridsep.config.validation import refuse
from hybridsep.errors import ConfigError
from hybridsep.launch.own_files import check_own_files

_HELP = "python -m hybridsep.run --help shows what there is"
_PROGRAMS = ("report", "bench", "equivalence")
_OPTIONAL = ("experiment", "scale")  # groups of which none needs to be chosen


def prepare(arguments: list[str]) -> list[str]:
    """Return a command line for Hydra: flags first, text quoted where Hydra would read something else.

    Raises ConfigError, one line that names the argument and what to type.
    """
    parsed = _parse(arguments)
    if parsed.shell_completion:
        return arguments
    if parsed.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun is not supported: type the command again, it goes on")
    if (parsed.cfg is not None or parsed.info is not None) and parsed.multirun:
        raise ConfigError("-m starts jobs, and --cfg and --info only show: give one of them")
    if parsed.config_dir is not None:
        parsed.config_dir = expand_home(parsed.config_dir)
        check_own_files(Path(parsed.config_dir))
    overrides = [_prepared(override, sweep=parsed.multirun) for override in parsed.overrides]
    return [*_flags(parsed), *overrides]


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = get_args_parser()

    def refuse_arguments(message: str) -> None:
        known = {*groups(), *names(Config)}
        typed = [(argument, argument.lstrip("-").partition("=")[0]) for argument in arguments if argument[:1] == "-"]
        flag = next((f"{argument}: type {name}=..., without -" for argument, name in typed if name in known), "")
        raise ConfigError(flag or f"{message}; {_HELP}")

    parser.error = refuse_arguments  # type: ignore[method-assign, assignment]
    return parser.parse_intermixed_args(arguments)


def _flags(parsed: argparse.Namespace) -> Iterator[str]:
    for name, value in vars(parsed).items():
        if name != "overrides" and value not in (None, False):
            yield f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")


def _prepared(override: str, *, sweep: bool) -> str:
    """Return an override as Hydra is to read it. Raises ConfigError."""
    head, equals, text = override.partition("=")
    name = head.lstrip("+~")
    sign, key = head.removesuffix(name), name.partition("@")[0]
    kind, is_group = kind_of(Config, key.split(".")), key in groups() or key.startswith("hydra/")
    if sign == "~" and kind is None and not is_group:
        return override
    _check_shape(override, sign, key, text if equals else None)
    if key == "hydra.searchpath":
        for place in re.findall(r"file://([^],'\"]+)", text):
            check_own_files(Path(place))
    is_text, quoted = is_group or bare(kind)[0] is str, f"{sign}{name}={_quote(text)}"
    plain = "${" not in text and not text.startswith(("'", '"', "[", "{"))
    try:
        value = OverridesParser.create().parse_override(override).value()
    except HydraException as error:
        if plain and (text.startswith("~") or (is_text and not is_group)):
            return quoted
        if kind is not None or is_group:
            raise refuse(key, text, _allowed(key)) from None
        reason = " ".join(str(error).split()).partition(" See https")[0]
        as_text = f"; as text it is {_for_shell(quoted)}" if plain else ""
        raise ConfigError(f"{override} cannot be read ({reason}){as_text}") from None
    if kind is None and not sign and not is_group and not key.startswith("hydra"):
        # Hydra would ask for a + before a key that no file has, a constructor's or a mistyped one: `resolve` knows.
        return f"++{override}"
    values = value.list if isinstance(value, ChoiceSweep) else [value]
    if is_group and any(one is None or isinstance(one, list | dict) for one in values):
        several = next((one for one in values if isinstance(one, list) and len(one) > 1), [])
        order = f"; -m {key}={','.join(map(str, several))} does one after the other" if several else ""
        raise refuse(key, text, _allowed(key) + order)
    if is_text and isinstance(value, ChoiceSweep) and not all(isinstance(one, str) for one in values):
        return f"{sign}{name}={re.sub(r'[^,()]+', _quoted_number, text)}"
    one_range = key == "trial" and isinstance(value, RangeSweep) and not sweep
    return quoted if one_range or (is_text and isinstance(value, int | float)) else override


def _check_shape(override: str, sign: str, key: str, text: str | None) -> None:
    """Raise ConfigError for an override that has no value, or a sign or a path that its key cannot have."""
    if sign == "~":
        there = (
            f"there is none unless you type {key}=NAME"
            if key in _OPTIONAL
            else f"it cannot be left out; type {key}=VALUE"
        )
        raise ConfigError(f"{override}: {there}")
    if text is None or not key:
        raise ConfigError(f"{override!r} is not key=value: {_meant_by(override) or _HELP}")
    group, _, name = key.rpartition("/")
    if group in groups() and (config_dir() / key).is_dir():
        raise ConfigError(f"{override}: type {group}={name}/{text}")
    if sign and (key in groups() or key.startswith("hydra/")):
        raise ConfigError(f"{override}: type {key}={text}, without {sign}")


def _allowed(key: str) -> str:
    """Return in words what a key or group may be."""
    if key in groups() or key.startswith("hydra/"):
        names = ", ".join(sorted(path.stem for path in (config_dir() / key).glob("*.yaml")))
        return f"one of {names}" + (f", or no {key}= at all" if key in _OPTIONAL else "")
    return allowed(kind_of(Config, key.split(".")))


def _meant_by(argument: str) -> str:
    """Return what may be meant by an argument without a value, such as the name of a choice."""
    if argument in _PROGRAMS:
        return f"that is a program of its own, python -m hybridsep.{argument}"
    if argument in groups():
        return f"type {argument}=NAME, {_allowed(argument)}"
    for group in (*_OPTIONAL, "model"):
        if re.fullmatch(r"[\w/]+", argument) and (config_dir() / group / f"{argument}.yaml").is_file():
            return f"did you mean {group}={argument}?"
    return hint(argument, [*groups(), *names(Config)], "").replace("?", "=...?")


def _quote(text: str) -> str:
    """Return text between the single quotes of Hydra's grammar."""
    doubled = re.sub(r"(\\+)(?='|$)", r"\1\1", text)
    return "'" + doubled.replace("'", r"\'") + "'"


def _for_shell(override: str) -> str:
    return f'"{override}"' if not set(override) & set('"$`\\!') else shlex.quote(override)


def _quoted_number(match: "re.Match[str]") -> str:
    try:
        value = OverridesParser.create().parse_override(f"x={match[0]}").value()
    except HydraException:
        return match[0]
    return _quote(match[0].strip()) if isinstance(value, int | float) else match[0]
