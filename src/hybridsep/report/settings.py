"""What the report takes from `conf/report.yaml`, `conf/paper.yaml` and the command line, typed and checked."""

from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

import yaml
from annotated_types import Ge, Interval, MinLen, doc
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybridsep.config import config_dir, overrides
from hybridsep.config.ranges import OneOf
from hybridsep.config.validation import check_ranges, refuse
from hybridsep.errors import ConfigError

SUBSETS = ("recorded", "paper", "fixed", "all")
PAIRINGS = ("paired", "unpaired")


@dataclass
class AnalysisOptions:
    """How the numbers are made; see conf/report.yaml for what each key means."""

    baseline: str = MISSING
    subset: Annotated[str, OneOf(SUBSETS)] = MISSING
    images: Annotated[int, Ge(1)] | None = None
    pairing: Annotated[str, OneOf(PAIRINGS)] = MISSING
    margin: Annotated[float, Interval(gt=0, lt=100), doc("in percentage points")] = MISSING
    alpha: Annotated[float, Interval(gt=0, lt=0.5)] = MISSING
    power: Annotated[float, Interval(gt=0, lt=1)] = MISSING
    trials: Annotated[int, Interval(ge=1, le=10_000)] | None = None
    resamples: Annotated[int, Interval(ge=99, le=1_000_000)] = MISSING
    groups: Annotated[int, Interval(ge=100, le=1_000_000)] = MISSING
    redraws: Annotated[int, Interval(ge=1, le=1_000_000)] = MISSING
    seed: Annotated[int, Ge(0)] = MISSING
    draw: bool = MISSING


@dataclass
class Planned:
    """What `plan` asks for: the `difference` to be told from 0, and how often, in `powers`."""

    difference: Annotated[float, Interval(gt=0, lt=100), doc("in percentage points")] = MISSING
    powers: Annotated[list[Annotated[float, Interval(gt=0, lt=1)]], MinLen(1)] = MISSING


@dataclass
class Calibrated:
    """What `calibrate` simulates; see conf/report.yaml for what each key means."""

    simulations: Annotated[int, Interval(ge=2, le=1_000_000)] = MISSING
    trials: Annotated[list[Annotated[int, Interval(ge=2, le=1000)]], MinLen(1)] = MISSING
    rows: Annotated[int, Interval(ge=1, le=100)] = MISSING
    spread: Annotated[float, Interval(gt=0, lt=100), doc("in percentage points")] = MISSING
    resamples: Annotated[int, Interval(ge=99, le=1_000_000)] = MISSING
    markdown: bool = MISSING


@dataclass
class ReportSettings:
    """Everything the command line can set."""

    results: str = MISSING
    study: str = MISSING
    data: str | None = None
    watch: Annotated[float, Interval(ge=0.1, le=86400), doc("in seconds")] = MISSING
    report: AnalysisOptions = field(default_factory=AnalysisOptions)
    plan: Planned = field(default_factory=Planned)
    calibrate: Calibrated = field(default_factory=Calibrated)


@dataclass
class RowSpec:
    """One row of a table of the paper: `title` there, `label` for figures, the `paper`'s number if it gives one.

    `counterpart`: the row of the table's counterpart that it stands for.
    """

    title: str = ""
    label: str = ""
    paper: float | None = None
    counterpart: str = ""


@dataclass
class TableSpec:
    """A table of the paper. `quantity` is what the paper's number is: mean_abs_difference or test_error.

    `vary` names the configuration keys in which its rows may differ, apart from the module under test. A table that
    repeats another under a `condition` names that as its `counterpart`: its claims are judged under both.
    """

    title: str = ""
    quantity: str = "mean_abs_difference"
    baseline: str = ""
    trials: int = 10
    paper_trials: int = 10
    vary: list[str] = field(default_factory=list)
    counterpart: str = ""
    condition: str = ""
    rows: dict[str, RowSpec] = field(default_factory=dict)

    def row_for(self, counterpart: str) -> str:
        """Return the row that stands for one of the counterpart's rows. Raises StopIteration when none does."""
        return next(row for row, spec in self.rows.items() if spec.counterpart == counterpart)


@dataclass
class Claim:
    """A statement of the paper and the rule that judges it. See `verdicts` for the rules.

    `margin`, in points, takes the place of report.margin where the paper itself says what it calls little.
    """

    where: str = ""
    says: str = ""
    table: str = ""
    rule: str = ""
    rows: list[str] = field(default_factory=list)
    against: list[str] = field(default_factory=list)
    margin: float | None = None


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

    def place(self, row: str) -> int:
        """Return where a row stands in the tables, one after the other; rows that stand in none come last."""
        rows = list(dict.fromkeys(row for table in self.tables.values() for row in table.rows))
        return rows.index(row) if row in rows else len(rows)


def load(words: list[str]) -> ReportSettings:
    """Return the settings of conf/report.yaml with `key=value` words.

    Raises ConfigError naming key and allowed values.
    """
    others = "a flag (--check, --watch, --help) or one of the words status, curves, plan, compare, calibrate"
    settings = overrides.load(ReportSettings, config_dir() / "report.yaml", words, others=others)
    check_ranges(settings)
    if settings.report.power <= settings.report.alpha:
        raise refuse("report.power", settings.report.power, "above report.alpha and below 1")
    if min(settings.plan.powers) <= settings.report.alpha:
        raise refuse("plan.powers", settings.plan.powers, "each above report.alpha and below 1")
    return settings


@cache
def paper() -> Paper:
    """Return conf/paper.yaml, checked against its schema. Raises ConfigError naming the file."""
    path = config_dir() / "paper.yaml"
    try:
        text = OmegaConf.create(overrides.read_yaml(path))
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Paper), text))
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} cannot be used: {str(error).splitlines()[0]}") from None


def describe() -> str:
    """Return every key with its value, one per line."""
    return overrides.describe(config_dir() / "report.yaml")
