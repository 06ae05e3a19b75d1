"""The words of a command line as they were meant, before Hydra reads them; what cannot be meant is refused here.

Hydra reads `study=1.10` as the number 1.1, lays the files of `model=[a,b]` over each other, and cannot read
`results=~/x`.
"""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybridsep.config import Config, config_dir, hydra_defaults, register
from hybridsep.config.keys import hint, keys, kind_of
from hybridsep.config.ranges import allowed, bare, expand_home
from hybridsep.errors import ConfigError

_HELP = "python -m hybridsep.run --help shows what there is"


def prepare(words: list[str]) -> list[str]:
    """Return the words of a command line for Hydra: flags first, text quoted where Hydra would read a number.

    Raises ConfigError, one line that names the word and what to type.
    """
    given = _parse(words)
    if given.shell_completion:
        return words
    if given.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun is not supported: type the command again, it goes on")
    if (given.cfg is not None or given.info is not None) and given.multirun:
        raise ConfigError("-m starts jobs, and --cfg and --info only show: give one of them")
    if given.config_dir is not None:
        given.config_dir = expand_home(given.config_dir)
        check_own_files(Path(given.config_dir))
    overrides = [_Word(word, sweep=given.multirun).for_hydra() for word in given.overrides]
    _check_experiments(overrides, given.config_dir)
    return [*_flags(given), *overrides]


def groups() -> list[str]:
    """Return the groups of which a configuration chooses one file each."""
    return sorted(path.name for path in config_dir().iterdir() if path.is_dir() and path.name != "hydra")


def check_own_files(folder: Path) -> None:
    """Raise ConfigError for a file of one's own that Hydra would not read, because a packaged one has its name."""
    packaged = config_dir()
    if not folder.is_dir() or folder.resolve() == packaged.resolve():
        return
    for path in sorted(folder.rglob("*.yaml")):
        name = path.relative_to(folder)
        if (packaged / name).is_file():
            raise ConfigError(
                f"{path} would not be read: hybridsep has a file {name.as_posix()} of its own; give yours another name"
            )


def own_folder(words: list[str]) -> Path | None:
    """Return the folder of `--config-dir`; None without one, or when the words are not understood."""
    try:
        place = _parse(words).config_dir
    except ConfigError:
        return None
    return Path(place) if place else None


def _parse(words: list[str]) -> argparse.Namespace:
    parser = get_args_parser()

    def refuse(message: str) -> None:
        raise ConfigError(f"{message}; {_HELP}")

    parser.error = refuse  # type: ignore[method-assign, assignment]
    return parser.parse_intermixed_args(words)


def _flags(given: argparse.Namespace) -> Iterator[str]:
    for name, value in vars(given).items():
        if name != "overrides" and value not in (None, False):
            yield f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")


def _check_experiments(overrides: list[str], own: str | None) -> None:
    """Raise ConfigError for several experiments of which one sweeps itself: Hydra would do one job of each."""
    chosen = [_parser().parse_override(word) for word in overrides if word.startswith("experiment=")]
    value = chosen[-1].value() if chosen else None
    if not isinstance(value, ChoiceSweep | Glob):
        return
    folders = [config_dir() / "experiment", *([Path(own) / "experiment"] if own else [])]
    names = (
        value.filter([path.stem for folder in folders for path in sorted(folder.glob("*.yaml"))])
        if isinstance(value, Glob)
        else [str(name) for name in value.list]
    )
    sweeping = [name for name in names if _sweeps(name, own)]
    if sweeping and len(names) > 1:
        raise ConfigError(
            f"experiment={','.join(names)}: {sweeping[0]} sweeps over rows and trials itself, "
            "so start the experiments one after the other"
        )


def _sweeps(experiment: str, own: str | None) -> bool:
    register()
    more = [f"hydra.searchpath=[{_quote(f'file://{Path(own).resolve()}')}]"] if own else []
    try:
        with hydra.initialize_config_dir(str(config_dir()), **hydra_defaults()):
            composed = hydra.compose("config", [f"experiment={experiment}", *more], return_hydra_config=True)
        return bool(OmegaConf.select(composed, "hydra.sweeper.params"))
    except (HydraException, OmegaConfBaseException):
        return False  # the job says what is wrong


class _Word:
    """One override of the command line."""

    def __init__(self, word: str, *, sweep: bool):
        self.word, self.sweep = word, sweep
        head, self.equals, self.text = word.partition("=")
        self.key = head.lstrip("+~").partition("@")[0]
        self.sign = head[: len(head) - len(head.lstrip("+~"))]

    def for_hydra(self) -> str:
        """Return the word as Hydra is to read it. Raises ConfigError."""
        if self.sign == "~":
            return self.word
        if not self.equals:
            raise ConfigError(f"{self.word!r} is not key=value: {self._choice_named() or _HELP}")
        group, _, name = self.key.rpartition("/")
        if group and (config_dir() / self.key).is_dir() and not self.key.startswith("hydra/"):
            raise ConfigError(f"{self.word}: type {group}={name}/{self.text}")
        if self.sign and self.key in groups():
            raise ConfigError(f"{self.word}: type {self.key}={self.text}, without {self.sign}")
        if self.key == "hydra.searchpath":
            for place in re.findall(r"file://([^],'\"]+)", self.text):
                check_own_files(Path(place))
        is_text = self.key in groups() or self._is_text_key()
        try:
            parsed = _parser().parse_override(self.word)
        except HydraException as error:
            return self._unreadable(error, is_text)
        self._refuse_list_of_choices(parsed)
        value = parsed.value()
        if value is None and self.key in groups() and self.key not in ("experiment", "scale"):
            raise ConfigError(f"{self.word}: there is always one; {_HELP}")
        if self.key == "trial" and isinstance(value, RangeSweep) and not self.sweep:
            return f"{self.sign}trial=[{','.join(str(number) for number in value.range())}]"
        if is_text:
            if isinstance(value, ChoiceSweep) and not all(isinstance(one, str) for one in value.list):
                return f"{self.sign}{self.key}={re.sub(r'[^,()]+', _quoted_number, self.text)}"
            if isinstance(value, int | float):
                return self._quoted()
        return self.word

    def _unreadable(self, error: HydraException, is_text: bool) -> str:
        """Return the word quoted, if its value is text that Hydra cannot read as it is. Raises ConfigError if not."""
        home = self.text.startswith("~")
        plain = "${" not in self.text and not self.text.startswith(("'", '"', "[", "{"))
        if plain and (is_text or home):
            return self._quoted()
        kind = kind_of(Config, self.key.split("."))
        if kind is not None:
            raise ConfigError(f"{self.word} cannot be read: {self.key} is {allowed(kind)}")
        reason = " ".join(str(error).split()).partition(" See https")[0]
        quoted = f"; as text it is {_for_shell(self._quoted())}" if plain and self.key else ""
        raise ConfigError(f"{self.word} cannot be read ({reason}){quoted}")

    def _quoted(self) -> str:
        return f"{self.sign}{self.word.partition('=')[0].lstrip('+~')}={_quote(self.text)}"

    def _is_text_key(self) -> bool:
        return bare(kind_of(Config, self.key.split(".")))[0] is str

    def _refuse_list_of_choices(self, parsed: Override) -> None:
        value: Any = parsed.value()
        listed = value if isinstance(value, list) else None
        if isinstance(value, ChoiceSweep):
            listed = next((one for one in value.list if isinstance(one, list)), None)
        if listed is not None and self.key in groups():
            names = ",".join(str(one) for one in listed)
            raise ConfigError(
                f"{self.word} would lay one choice over the other: -m {self.key}={names} does one after the other"
            )

    def _choice_named(self) -> str:
        """Return what was meant by a word that is only the name of a choice, such as `quick`."""
        for group in ("experiment", "scale", "model"):
            if re.fullmatch(r"[\w/]+", self.word) and (config_dir() / group / f"{self.word}.yaml").is_file():
                return f"did you mean {group}={self.word}?"
        near = hint(self.word, list(keys(Config)), "")
        return near.replace("?", "=...?")


def _parser() -> OverridesParser:
    return OverridesParser.create()


def _quote(text: str) -> str:
    """Return text between the single quotes of Hydra's grammar."""
    doubled = re.sub(r"(\\+)(?='|$)", r"\1\1", text)
    return "'" + doubled.replace("'", r"\'") + "'"


def _for_shell(word: str) -> str:
    return f'"{word}"' if not set(word) & set('"$`\\!') else shlex.quote(word)


def _quoted_number(match: "re.Match[str]") -> str:
    try:
        value = _parser().parse_override(f"x={match[0]}").value()
    except HydraException:
        return match[0]
    return _quote(match[0].strip()) if isinstance(value, int | float) else match[0]
