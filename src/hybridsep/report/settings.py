"""What the report takes from `conf/report.yaml`, `conf/paper.yaml` and the command line, typed and checked."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybridsep.config import config_dir, overrides
from hybridsep.errors import ConfigError

SUBSETS = ("recorded", "paper", "fixed", "all")
PAIRINGS = ("paired", "unpaired")


@dataclass
class Choices:
    """How the numbers are made; see conf/report.yaml for what each key means."""

    baseline: str = MISSING
    subset: str = MISSING
    images: int | None = None
    pairing: str = MISSING
    margin: float = MISSING
    alpha: float = MISSING
    power: float = MISSING
    trials: int | None = None
    resamples: int = MISSING
    groups: int = MISSING
    redraws: int = MISSING
    seed: int = MISSING
    draw: bool = MISSING


@dataclass
class Settings:
    """Everything the command line can set."""

    results: str = MISSING
    study: str = MISSING
    watch: float = MISSING
    report: Choices = field(default_factory=Choices)


@dataclass
class RowSpec:
    """One row of a table of the paper: `title` there, `label` for figures, the `paper`'s number if it gives one."""

    title: str = ""
    label: str = ""
    paper: float | None = None


@dataclass
class TableSpec:
    """A table of the paper. `quantity` is what the paper's number is: mean_abs_difference or test_error.

    `vary` names the configuration keys in which its rows may differ, apart from the module under test.
    """

    title: str = ""
    quantity: str = "mean_abs_difference"
    baseline: str = ""
    trials: int = 10
    paper_trials: int = 10
    vary: list[str] = field(default_factory=list)
    rows: dict[str, RowSpec] = field(default_factory=dict)


@dataclass
class Claim:
    """A statement of the paper and the rule that judges it. See `verdicts` for the rules."""

    where: str = ""
    says: str = ""
    table: str = ""
    rule: str = ""
    rows: list[str] = field(default_factory=list)
    against: list[str] = field(default_factory=list)


@dataclass
class OpenPoint:
    """Something the paper leaves open (PROTOCOL.md): our choice, and its configuration key and default."""

    point: str = ""
    choice: str = ""
    key: str = ""
    default: Any = None


@dataclass
class Paper:
    """What the paper says (conf/paper.yaml).

    `conditions` are the configuration values under which its numbers can be judged.
    """

    conditions: dict[str, Any] = field(default_factory=dict)
    synthetic: list[str] = field(default_factory=list)
    tables: dict[str, TableSpec] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    open_points: list[OpenPoint] = field(default_factory=list)


def load(words: list[str]) -> Settings:
    """Return the settings of conf/report.yaml with `key=value` words.

    Raises ConfigError naming key and allowed values.
    """
    others = "a flag (--check, --watch, --help) or the word status"
    settings = overrides.load(Settings, config_dir() / "report.yaml", words, others=others)
    check(settings)
    return settings


def check(settings: Settings) -> None:
    """Raise ConfigError for the first value out of range."""
    choices = settings.report

    def require(ok: bool, key: str, allowed: str) -> None:
        if not ok:
            raise ConfigError(f"report.{key}={getattr(choices, key)} is not allowed: {allowed}")

    if not 0.1 <= settings.watch <= 86400:
        raise ConfigError(f"watch={settings.watch} is not allowed: seconds, from 0.1 to 86400")
    require(choices.subset in SUBSETS, "subset", f"choose {', '.join(SUBSETS)}")
    require(choices.pairing in PAIRINGS, "pairing", f"choose {', '.join(PAIRINGS)}")
    require(choices.images is None or choices.images >= 1, "images", "a whole number of at least 1, or null")
    require(0 < choices.margin < 100, "margin", "percentage points, above 0 and below 100")
    require(0 < choices.alpha < 0.5, "alpha", "above 0 and below 0.5")
    require(choices.alpha < choices.power < 1, "power", "above report.alpha and below 1")
    require(choices.trials is None or choices.trials >= 1, "trials", "a whole number of at least 1, or null")
    for key, least in (("resamples", 99), ("groups", 100), ("redraws", 1)):
        require(least <= getattr(choices, key) <= 1_000_000, key, f"a whole number from {least} to 1000000")
    require(choices.seed >= 0, "seed", "a whole number of at least 0")


@cache
def paper() -> Paper:
    """Return conf/paper.yaml, checked against its schema. Raises ConfigError naming the file."""
    path = config_dir() / "paper.yaml"
    try:
        text = OmegaConf.create(read_yaml(path))
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Paper), text))
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} cannot be used: {str(error).splitlines()[0]}") from None


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file, by the parser in C: it takes a tenth of the time of `yaml.safe_load`."""
    return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def describe() -> str:
    """Return every key with its value, one per line."""
    return overrides.describe(config_dir() / "report.yaml")
