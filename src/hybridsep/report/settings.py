"""What the report takes from `conf/report/` and the command line, typed and checked."""

from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, cast, get_args

import yaml
from annotated_types import Ge, Interval, MinLen, doc
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybridsep.config import config_dir, overrides
from hybridsep.config.ranges import Folder
from hybridsep.config.validation import refuse
from hybridsep.errors import ConfigError
from hybridsep.runs.record import Record

Pairing = Literal["paired", "unpaired"]
PAIRINGS: tuple[Pairing, ...] = get_args(Pairing)
QUANTITIES = ("mean_abs_difference", "test_error")
# What a dataset is to the paper; a copy is named by its hash.
ORIGINAL, STAND_IN, OTHER = "original", "stand-in", "other"


@dataclass
class AnalysisOptions:
    """How the numbers are made; see conf/report/options.yaml for what each key means."""

    baseline: str = MISSING
    subset: Literal["recorded", "paper", "fixed", "all"] = MISSING
    images: Annotated[int, Ge(1)] | None = None
    pairing: Pairing = MISSING
    margin: Annotated[float, Interval(gt=0, lt=100), doc("in percentage points")] = MISSING
    distance: Annotated[float, Interval(gt=0, lt=1), doc("in units of two seeds of the baseline")] = MISSING
    alpha: Annotated[float, Interval(gt=0, lt=0.5)] = MISSING
    power: Annotated[float, Interval(gt=0, lt=1)] = MISSING
    trials: Annotated[int, Interval(ge=1, le=10_000)] | None = None
    resamples: Annotated[int, Interval(ge=99, le=1_000_000)] = MISSING
    groups: Annotated[int, Interval(ge=100, le=1_000_000)] = MISSING
    redraws: Annotated[int, Interval(ge=1, le=1_000_000)] = MISSING
    seed: Annotated[int, Ge(0)] = MISSING
    adjust_machines: bool = MISSING
    draw: bool = MISSING


@dataclass
class Planned:
    """What `plan` asks for: the `difference` to be told from 0, and how often, in `powers`."""

    difference: Annotated[float, Interval(gt=0, lt=100), doc("in percentage points")] = MISSING
    powers: Annotated[list[Annotated[float, Interval(gt=0, lt=1)]], MinLen(1)] = MISSING


@dataclass
class ReportSettings:
    """Everything the command line can set."""

    results: Folder = MISSING
    study: str | None = None
    data: Folder | None = None
    csv: str | None = None
    baseline: str | None = None
    margin: Annotated[float, Interval(gt=0)] | None = None
    unit: str = MISSING
    higher_is_better: bool = MISSING
    watch: Annotated[float, Interval(ge=0.1, le=86400), doc("in seconds")] = MISSING
    report: AnalysisOptions = field(default_factory=AnalysisOptions)
    plan: Planned = field(default_factory=Planned)


@dataclass
class RowSpec:
    """One row of a table of the paper: `title` there, `label` for figures, the `paper`'s number if it gives one.

    `same_start`: it begins with the baseline's own weights, so the noise of unlike seeds is the wrong null for it.

    `counterpart`: the row of the table's counterpart that it stands for.
    """

    title: str = ""
    label: str = ""
    paper: float | None = None
    counterpart: str = ""
    same_start: bool = False


@dataclass
class TableSpec:
    """A table of the paper. `quantity` is what the paper's number is: mean_abs_difference or test_error.

    `experiment` of conf/experiment is the one whose configuration is held to be the paper's for its rows.
    `vary` names the configuration keys in which its rows may differ, apart from the module under test. A table that
    repeats another under a `condition` names that as its `counterpart`: its claims are judged under both. `pairs` are
    two rows each, of any tables of the study, that are compared; `declared` is when that was declared. `unit` and
    `higher_is_better` are of everybody's trials; a study has test errors in percent.
    """

    title: str = ""
    quantity: str = "mean_abs_difference"
    baseline: str = ""
    experiment: str = ""
    trials: int = 10
    paper_trials: int = 10
    vary: list[str] = field(default_factory=list)
    counterpart: str = ""
    condition: str = ""
    pairs: list[list[str]] = field(default_factory=list)
    declared: str = ""
    unit: str = "%"
    higher_is_better: bool = False
    rows: dict[str, RowSpec] = field(default_factory=dict)

    def row_for(self, counterpart: str) -> str | None:
        """Return the row that stands for one of the counterpart's rows, if there is one."""
        return next((row for row, spec in self.rows.items() if spec.counterpart == counterpart), None)

    def model(self, row: str) -> str:
        """Return the model of conf/model that a row trains: that of its counterpart where it stands for one."""
        return (self.rows[row].counterpart if row in self.rows else "") or row


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
    """Something the paper leaves open (docs/protocol.md): our choice, and the configuration keys that say it.

    The choice is what experiment=figure4 composes for the baseline; `default` is for a key that it leaves to the data.
    """

    point: str = ""
    choice: str = ""
    keys: list[str] = field(default_factory=list)
    default: Any = None


@dataclass
class PaperData:
    """The images of the paper: `source` is the function that gives the original, `copies` the hashes of accepted ones.

    The original is known by its source, which checks the files' published checksums, and by its sizes: whoever has not
    got the files cannot compute the hash of their images. `stand_in` is the source of images that need no download.
    """

    title: str = ""
    source: str = ""
    train: int = 0
    test: int = 0
    copies: dict[str, str] = field(default_factory=dict)
    stand_in: str = ""

    def kind(self, record: Record) -> str:
        """Return what the images of a record are: ORIGINAL, the hash of a copy, STAND_IN or OTHER."""
        dataset, source = record.dataset, record.settings.data.source.get("_target_")
        if source == self.stand_in:
            return STAND_IN
        if (dataset.train, dataset.test) != (self.train, self.test):
            return OTHER
        if source == self.source:
            return ORIGINAL
        return dataset.sha256 if dataset.sha256 in self.copies else OTHER

    def known(self, record: Record) -> bool:
        """Return whether the paper's numbers may stand beside those of a record's images."""
        return self.kind(record) != OTHER


@dataclass
class Chance:
    """How the paper's numbers are held against chance: test `images` a trial, and `errors` in percent to try."""

    images: int = 6000
    errors: list[float] = field(default_factory=list)


@dataclass
class Paper:
    """What the paper says (conf/report/paper.yaml).

    `distance_declared`: when the tests of the distance of functions and its limit were chosen.
    """

    data: PaperData = field(default_factory=PaperData)
    tables: dict[str, TableSpec] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    distance_declared: str = ""
    open_points: list[OpenPoint] = field(default_factory=list)
    chance: Chance = field(default_factory=Chance)

    def place(self, row: str) -> int:
        """Return where a row stands in the tables, one after the other; rows that stand in none come last."""
        rows = list(dict.fromkeys(row for table in self.tables.values() for row in table.rows))
        return rows.index(row) if row in rows else len(rows)


def load(words: list[str]) -> ReportSettings:
    """Return the settings of conf/report/options.yaml with `key=value` words.

    Raises ConfigError naming key and allowed values.
    """
    settings = overrides.load(ReportSettings, config_dir() / "report/options.yaml", words)
    if settings.report.power <= settings.report.alpha:
        raise refuse("report.power", settings.report.power, "above report.alpha and below 1")
    if min(settings.plan.powers) <= settings.report.alpha:
        raise refuse("plan.powers", settings.plan.powers, "each above report.alpha and below 1")
    return settings


@cache
def paper() -> Paper:
    """Return conf/report/paper.yaml, checked against its schema. Raises ConfigError naming the file."""
    path = config_dir() / "report/paper.yaml"
    try:
        text = OmegaConf.create(overrides.read_yaml(path))
        paper = cast(Paper, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Paper), text)))
        for name, table in paper.tables.items():
            _check_table(name, table, paper)
        return paper
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} cannot be used: {str(error).splitlines()[0]}") from None


def _check_table(name: str, table: TableSpec, paper: Paper) -> None:
    """Raise ConfigError for a table whose baseline, quantity or counterparts are not there."""
    there = paper.tables[table.counterpart].rows if table.counterpart in paper.tables else {}
    strange = [row for row, spec in table.rows.items() if spec.counterpart and spec.counterpart not in there]
    for text, holds in {
        f"baseline {table.baseline} is none of its rows": table.baseline not in table.rows,
        f"quantity {table.quantity}: there are {', '.join(QUANTITIES)}": table.quantity not in QUANTITIES,
        f"counterpart {table.counterpart} is no table": table.counterpart not in ("", *paper.tables),
        f"counterparts of {', '.join(strange)} are no rows of table {table.counterpart}": bool(strange),
    }.items():
        if holds:
            raise ConfigError(f"table {name}: {text}")
