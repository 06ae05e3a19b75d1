"""The command line of report, bench and equivalence: a command, `key=value` overrides and flags, by argparse.

The keys of a program stand in a YAML file with what each means, and in a dataclass with the type of each.
"""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, NoReturn, TypeVar

from hybridsep.config.keys import hint
from hybridsep.errors import ConfigError

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Command:
    """One command of a program.

    `keys`: the keys and groups of the YAML file that it reads, and takes; empty: all. `rows`: how many arguments beside
    `key=value` it takes, such as the rows of `compare`; `usage`: those as they are typed, and `takes` in prose.
    `flags`: what each flag means. `argument`: how the command is typed where that is not its name.
    """

    name: str
    summary: str
    keys: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    usage: str = ""
    takes: str = ""
    flags: dict[str, str] = field(default_factory=dict)
    argument: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "argument", self.argument or self.name)


@dataclass(frozen=True)
class Arguments(Generic[Settings]):
    """A command line: the command, the settings, the rows it names, and the flags."""

    command: str
    settings: Settings
    rows: tuple[str, ...]
    flags: tuple[str, ...]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; --help shows what there is")


def parse(
    program: str,
    commands: Sequence[Command],
    arguments: Sequence[str],
    *,
    load: Callable[[list[str]], Settings],
    path: Path,
    epilog: str,
    former: Mapping[str, str] = MappingProxyType({}),
) -> Arguments[Settings] | None:
    """Return what was typed; None when it was `--help`, which is then printed. The first command is the default.

    The command may stand anywhere; of a command that takes rows, rows may be called like commands. `load` makes the
    settings of `key=value` overrides, whose keys stand in the YAML file at `path`. `former`: commands that there were,
    and what to type instead. Raises ConfigError, one line that names the argument and what is allowed.
    """
    by_argument = {command.argument: command for command in commands}
    first = next((argument for argument in arguments if "=" not in argument and argument[:1] != "-"), "")
    if first in former:
        raise ConfigError(f"{first}: {former[first]}")
    at = next((place for place, argument in enumerate(arguments) if argument in by_argument), None)
    command = commands[0] if at is None else by_argument[arguments[at]]
    others = list(arguments) if at is None else [*arguments[:at], *arguments[at + 1 :]]
    for other in others:
        if other in by_argument and (not command.rows or other.startswith("-")):
            raise ConfigError(f"{command.argument} and {other} are two commands; give one of them")
    parser, parsers = _parsers(program, commands, path, epilog)
    if not {"-h", "--help"}.isdisjoint(others):
        print((parser if at is None and len(commands) > 1 else parsers[command.name]).format_help(), end="")
        return None
    for flag in {flag for one in commands for flag in one.flags} - set(command.flags):
        if flag in others:
            owners = [one.name for one in commands if flag in one.flags]
            raise ConfigError(f"{flag} belongs to {' and '.join(owners)}: python -m {program} {owners[0]} {flag}")
    parsed = parsers[command.name].parse_intermixed_args(others)
    rows = _rows(command, parsed.others, [] if at is None else arguments[at + 1 :])
    if command.rows and len(rows) not in command.rows:
        example = f"python -m {program} {command.argument} {command.usage}"
        raise ConfigError(f"{command.name} takes {command.takes}: {example}")
    overrides = [argument for argument in parsed.others if argument not in rows]
    if (stray := next((argument for argument in overrides if "=" not in argument), None)) is not None:
        names = [one.argument for one in commands if one.argument == one.name and len(commands) > 1]
        there = ", ".join([*names, *sorted({flag for one in commands for flag in one.flags} | {"--help"})])
        raise ConfigError(f"{stray!r} is not key=value: {hint(stray, names, f'other arguments are {there}')}")
    flags = tuple(flag for flag in command.flags if getattr(parsed, flag.strip("-")))
    settings = load(overrides)
    for key in (override.partition("=")[0] for override in overrides):
        if not _takes(command.keys, key):
            raise ConfigError(f"{key} is not a key of {command.argument}: allowed are {', '.join(command.keys)}")
    return Arguments(command.name, settings, rows, flags)


def _takes(keys: Sequence[str], key: str) -> bool:
    """Return whether a key is among `keys` and groups; empty: every key is."""
    return not keys or key in keys or key.partition(".")[0] in keys


def _rows(command: Command, arguments: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments that are no `key=value`; one that may hold = (`forget resnext=5..9`) follows its command."""
    if not command.rows:
        return ()
    if "=" in command.usage:
        return tuple(after[:1])
    return tuple(argument for argument in arguments if "=" not in argument)


def _parsers(
    program: str, commands: Sequence[Command], path: Path, epilog: str
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    def text(keys: Sequence[str]) -> str:
        return f"keys (set with key=value):\n{describe(path, keys)}\n\n{epilog}"

    shape: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = _Parser(f"python -m {program}", epilog=text(()), **shape)
    title = f"commands ({commands[0].argument} is the default; COMMAND --help shows its keys)"
    inner = parser.add_subparsers(metavar="COMMAND", title=title)
    parsers: dict[str, argparse.ArgumentParser] = {}
    for command in commands:
        keys = text(command.keys)
        one = inner.add_parser(
            command.argument, help=command.summary, description=command.summary, epilog=keys, **shape
        )
        one.add_argument("others", nargs="*", metavar=f"{command.usage} key=value".strip())
        for flag, meaning in command.flags.items():
            one.add_argument(flag, action="store_true", help=meaning)
        parsers[command.name] = one
    return parser, parsers


def describe(path: Path, keys: Sequence[str] = ()) -> str:
    """Return the keys of a YAML file with their values and the comments beside them, one a line; `keys`: only these."""
    lines, group = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = re.fullmatch(r"( *)(\w+):( *)([^#]*?)(\s+#.*)?", line)
        if entry is None:
            continue
        indent, name, _, value, comment = entry.groups()
        group = group if indent else name
        key = f"{group}.{name}" if indent else name
        if value and _takes(keys, key):
            lines.append(f"  {key + '=' + value.replace(', ', ','):<40}{(comment or '').strip()}".rstrip())
    return "\n".join(lines)
