"""The command line of report, bench and equivalence: a command, `key=value` words and flags, by argparse.

The keys of a program stand in a YAML file with what each means, and in a dataclass with the type of each.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from hybridsep.config.keys import hint
from hybridsep.errors import ConfigError

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Command:
    """One command of a program.

    `keys`: the keys and groups of the YAML file that it reads; empty: all. `rows`: how many words beside `key=value` it
    takes, such as the rows of `compare`; `usage`: those words as they are typed, and `takes` in prose. `flags`: what
    each flag means. `typed`: how the command is typed where that is not its name.
    """

    name: str
    summary: str
    keys: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    usage: str = ""
    takes: str = ""
    flags: dict[str, str] = field(default_factory=dict)
    typed: str = ""

    @property
    def word(self) -> str:
        return self.typed or self.name


@dataclass(frozen=True)
class Typed(Generic[Settings]):
    """What was typed: the command, the settings, its other words, and the flags."""

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
    words: Sequence[str],
    *,
    load: Callable[[list[str]], Settings],
    path: Path,
    epilog: str,
) -> Typed[Settings] | None:
    """Return what was typed; None when it was `--help`, which is then printed. The first command is the default.

    The command may stand anywhere among the words. `load` makes the settings of `key=value` words, whose keys stand in
    the YAML file at `path`. Raises ConfigError, one line that names the word and what is allowed.
    """
    by_word = {command.word: command for command in commands}
    chosen = [word for word in words if word in by_word]
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(chosen)} are two commands; give one of them")
    command = by_word[chosen[0]] if chosen else commands[0]
    at = list(words).index(chosen[0]) if chosen else -1
    others = [*words[:at], *words[at + 1 :]] if chosen else list(words)
    parser, parsers = _parsers(program, commands, path, epilog)
    if not {"-h", "--help"}.isdisjoint(others):
        print((parsers[command.name] if chosen or len(commands) == 1 else parser).format_help(), end="")
        return None
    for flag in {flag for one in commands for flag in one.flags} - set(command.flags):
        if flag in others:
            owners = [one.name for one in commands if flag in one.flags]
            raise ConfigError(f"{flag} belongs to {' and '.join(owners)}: python -m {program} {owners[0]} {flag}")
    given = parsers[command.name].parse_intermixed_args(others)
    rows = _rows(command, given.words, list(words[at + 1 :]))
    if command.rows and len(rows) not in command.rows:
        raise ConfigError(f"{command.name} takes {command.takes}: python -m {program} {command.word} {command.usage}")
    keys = [word for word in given.words if word not in rows]
    if (stray := next((word for word in keys if "=" not in word), None)) is not None:
        words_there = [one.word for one in commands if not one.word.startswith("-")]
        flags_there = sorted({flag for one in commands for flag in one.flags} | {"--help"})
        there = ", ".join([*(words_there if len(commands) > 1 else []), *flags_there])
        raise ConfigError(f"{stray!r} is not key=value: {hint(stray, words_there, f'other words are {there}')}")
    settings = load(keys)
    flags = tuple(flag for flag in command.flags if getattr(given, flag.strip("-")))
    return Typed(command.name, settings, rows, flags)


def _rows(command: Command, words: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Return the words that are no `key=value`; one that may hold = (`forget resnext=5..9`) follows its command."""
    if not command.rows:
        return ()
    if "=" in command.usage:
        return tuple(after[:1])
    return tuple(word for word in words if "=" not in word)


def _parsers(
    program: str, commands: Sequence[Command], path: Path, epilog: str
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    def text(keys: Sequence[str]) -> str:
        return f"keys (set with key=value):\n{describe(path, keys)}\n\n{epilog}"

    shape: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = _Parser(f"python -m {program}", epilog=text(()), **shape)
    title = f"commands ({commands[0].word} is the default; COMMAND --help shows its keys)"
    inner = parser.add_subparsers(metavar="COMMAND", title=title)
    parsers: dict[str, argparse.ArgumentParser] = {}
    for command in commands:
        keys = text(command.keys)
        one = inner.add_parser(command.word, help=command.summary, description=command.summary, epilog=keys, **shape)
        one.add_argument("words", nargs="*", metavar=f"{command.usage} key=value".strip())
        for flag, meaning in command.flags.items():
            one.add_argument(flag, action="store_true", help=meaning)
        parsers[command.name] = one
    return parser, parsers


def describe(path: Path, keys: Sequence[str] = ()) -> str:
    """Return the keys of a YAML file with their values and the comments beside them, one a line; `keys`: only these."""
    lines, group = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.fullmatch(r"( *)(\w+):( *)([^#]*?)(\s+#.*)?", line)
        if found is None:
            continue
        indent, name, _, value, comment = found.groups()
        group = group if indent else name
        if value and (not keys or group in keys):
            key = f"{group}.{name}" if indent else name
            lines.append(f"  {key + '=' + value.replace(', ', ','):<40}{(comment or '').strip()}".rstrip())
    return "\n".join(lines)
