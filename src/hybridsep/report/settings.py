"""What the report takes from `conf/report/` and the command line, typed and checked."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Interval, MinLen, doc

from hybridsep.config import Config, config_dir, overrides
from hybridsep.config.identity import flatten
from hybridsep.config.keys import hint, keys
from hybridsep.config.ranges import Folder, Matches
from hybridsep.config.validation import refuse
from hybridsep.errors import ConfigError
from hybridsep.runs.record import Record

Pairing = Literal["paired", "unpaired"]
PAIRINGS: tuple[Pairing, ...] = get_args(Pairing)
# The rules of `verdicts`: a claim's rows against the baseline, or against the rows that it names in `against`.
BaselineRule = Literal["equivalent", "different", "same_function"]
RowRule = Literal["closer", "nearer", "lower_error", "same_error", "greater_gain", "faster"]
RuleName = Literal[BaselineRule, RowRule]
# What a dataset is to the paper; a copy is named by its hash.
ORIGINAL, STAND_IN, OTHER = "original", "stand-in", "other"
# The table of speed, which is made of `experiment=speed` and stands in no paper.yaml.
SPEED = "speed"

TRIALS = 10  # of a row, where nobody says otherwise: the paper's
Trials = Annotated[int, Interval(ge=1, le=10_000)]
Points = Annotated[float, Interval(gt=0, lt=100), doc("in percentage points")]
Time = Annotated[
    str, Matches(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", 'a time as records have it, "2026-11-26T14:16:38+00:00"')
]


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    """How the numbers are made; see conf/report/options.yaml for what each key means."""

    baseline: str
    subset: Literal["recorded", "paper", "fixed", "all"]
    images: Annotated[int, Ge(1)] | None
    pairing: Pairing
    margin: Points
    distance: Annotated[float, Interval(gt=0, lt=1), doc("in units of two seeds of the baseline")]
    alpha: Annotated[float, Interval(gt=0, lt=0.5)]
    power: Annotated[float, Interval(gt=0, lt=1)]
    trials: Trials | None
    resamples: Annotated[int, Interval(ge=99, le=1_000_000)]
    groups: Annotated[int, Interval(ge=100, le=1_000_000)]
    redraws: Annotated[int, Interval(ge=1, le=1_000_000)]
    seed: Annotated[int, Ge(0)]
    adjust_machines: bool
    draw: bool


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What `plan` asks for: the `difference` to be told from 0, and how often, in `powers`."""

    difference: Points
    powers: Annotated[list[Annotated[float, Interval(gt=0, lt=1)]], MinLen(1)]


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """Everything the command line can set."""

    results: Folder
    study: str | None
    data: Folder | None
    csv: str | None
    baseline: str | None
    margin: Annotated[float, Interval(gt=0)] | None
    unit: str
    higher_is_better: bool
    watch: Annotated[float, Interval(ge=0.1, le=86400), doc("in seconds")]
    plan: PlanOptions
    report: AnalysisOptions


@dataclass(frozen=True, kw_only=True)
class RowSpec:
    """One row of a table of the paper: `title` there, `label` for figures, the `paper`'s number if it gives one.

    `same_start`: it begins with the baseline's own weights, so the noise of unlike seeds is the wrong null for it.

    `counterpart`: the row of the table's counterpart that it stands for. `model` of conf/model and `overrides` say what
    the table's experiment trains for it; without them the model is that of the counterpart, or called like the row.
    """

    title: str
    label: str
    paper: Annotated[float, Interval(ge=0, lt=100)] | None = None
    counterpart: str = ""
    model: str = ""
    overrides: list[str] = field(default_factory=list)
    same_start: bool = False


@dataclass(frozen=True, kw_only=True)
class PairOutcomes:
    """What is said of two rows: when the first is better or worse, when they only are other functions, when neither."""

    form: str
    function: str
    parameters: str


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """A table of the paper. `quantity` is what the paper's number is.

    `experiment` of conf/experiment is the one whose configuration is held to be the paper's for its rows.
    `vary` names the configuration keys in which its rows may differ, apart from the module under test. A table that
    repeats another under a `condition` names that as its `counterpart`: its claims are judged under both. `pairs` are
    two rows each, of any tables of the study, that are compared, `outcomes` what is then said of them; `declared` is
    when that was declared. `unit` and `higher_is_better` are of everybody's trials; a study has test errors in percent.
    """

    title: str
    quantity: Literal["mean_abs_difference", "test_error"] = "mean_abs_difference"
    baseline: str
    experiment: str = ""
    trials: Trials = TRIALS
    paper_trials: Trials = TRIALS
    vary: list[str] = field(default_factory=list)
    counterpart: str = ""
    condition: str = ""
    pairs: list[tuple[str, str]] = field(default_factory=list)
    outcomes: PairOutcomes | None = None
    declared: Time | None = None
    unit: str = "%"
    higher_is_better: bool = False
    rows: dict[str, RowSpec] = field(default_factory=dict)

    @property
    def is_error(self) -> bool:
        """Whether values are errors in percent, and not some other measure."""
        return self.unit == "%" and not self.higher_is_better

    def row_for(self, counterpart: str) -> str | None:
        """Return the row that stands for one of the counterpart's rows, if there is one."""
        return next((row for row, spec in self.rows.items() if spec.counterpart == counterpart), None)

    def model(self, row: str) -> str:
        """Return the model of conf/model that a row trains: its own, that of its counterpart, or one of its name."""
        spec = self.rows.get(row)
        return (spec and (spec.model or spec.counterpart)) or row

    def overrides(self, row: str) -> tuple[str, ...]:
        """Return what a row trains otherwise than the table's experiment says."""
        return tuple(self.rows[row].overrides) if row in self.rows else ()


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement of the paper and the rule that judges it. See `verdicts` for the rules.

    `margin`, in points, takes the place of report.margin where the paper itself says what it calls little.
    """

    where: str
    says: str
    table: str
    rule: RuleName
    rows: Annotated[list[str], MinLen(1)]
    against: list[str] = field(default_factory=list)
    margin: Points | None = None


@dataclass(frozen=True, kw_only=True)
class OpenPoint:
    """Something the paper leaves open (docs/protocol.md): our choice, and the configuration keys that say it.

    The choice is what experiment=figure4 composes for the baseline; `default` is for a key that it leaves to the data.
    `options` names the other readings, as they can be asked for.
    """

    point: str
    choice: str
    options: str | None = None
    keys: list[str] = field(default_factory=list)
    default: Any = None


@dataclass(frozen=True, kw_only=True)
class PaperData:
    """The images of the paper: `source` is the function that gives the original, `copies` the hashes of accepted ones.

    The original is known by its source, which checks the files' published checksums, and by its sizes: whoever has not
    got the files cannot compute the hash of their images. `stand_in` is the source of images that need no download.
    """

    title: str
    source: str
    train: Annotated[int, Ge(1)]
    test: Annotated[int, Ge(1)]
    copies: dict[Annotated[str, Matches(r"[0-9a-f]{64}", "64 hexadecimal digits")], str]
    stand_in: str

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


@dataclass(frozen=True, kw_only=True)
class Chance:
    """How the paper's numbers are held against chance: test `images` a trial, and `errors` in percent to try."""

    images: Annotated[int, Ge(1)]
    errors: list[Annotated[float, Interval(gt=0, lt=100)]]


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What the paper says (conf/report/paper.yaml).

    `distance_declared`: when the tests of the distance of functions and its limit were chosen.
    """

    data: PaperData
    tables: dict[str, TableSpec]
    claims: dict[str, Claim]
    distance_declared: Time
    open_points: list[OpenPoint]
    chance: Chance

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


def paper() -> Paper:
    """Return conf/report/paper.yaml, checked. Raises ConfigError naming the file and what is wrong in it."""
    return read_paper(config_dir() / "report/paper.yaml")


@cache
def read_paper(path: Path) -> Paper:
    """Return a file such as conf/report/paper.yaml. Raises ConfigError naming it and every mistake."""
    paper = overrides.validate_file(Paper, overrides.read_yaml(path), path)
    if wrong := list(_mistakes(paper)):
        raise ConfigError(f"{path}: {'; '.join(wrong)}")
    return paper


def _mistakes(paper: Paper) -> Iterator[str]:
    """Yield what no key can say alone: names of tables, rows, experiments, keys and images that are not there."""
    sources = {str(flatten(tree).get("source._target_")) for tree in _trees("data")}
    for key, source in {"source": paper.data.source, "stand_in": paper.data.stand_in}.items():
        if source not in sources:
            yield f"data.{key}={source} is no source of conf/data, which has {', '.join(sorted(sources))}"
    everywhere = {row for table in paper.tables.values() for row in table.rows}
    models = {path.stem for folder in ("model", "model/variant") for path in (config_dir() / folder).glob("*.yaml")}
    keys = _configuration_keys()
    for name, table in paper.tables.items():
        yield from (f"tables.{name}: {text}" for text in _of_table(table, paper, everywhere, models))
        yield from (f"tables.{name}.vary: {text}" for text in _no_keys(table.vary, keys))
        for row, spec in table.rows.items():
            typed = [override.partition("=")[0] for override in spec.overrides]
            yield from (f"tables.{name}.rows.{row}.overrides: {text}" for text in _no_keys(typed, keys))
    for name, claim in paper.claims.items():
        yield from (f"claims.{name}: {text}" for text in _of_claim(claim, paper, everywhere, models))
    for point in paper.open_points:
        yield from (f"open_points, {point.point}: {text}" for text in _no_keys(point.keys, keys))


def _of_table(table: TableSpec, paper: Paper, everywhere: set[str], models: set[str]) -> Iterator[str]:
    there = paper.tables[table.counterpart].rows if table.counterpart in paper.tables else {}
    experiments = sorted(path.stem for path in (config_dir() / "experiment").glob("*.yaml"))
    if table.baseline not in table.rows:
        yield f"baseline {table.baseline} is none of its rows"
    if table.experiment not in ("", *experiments):
        yield f"experiment {table.experiment}: there are {', '.join(experiments)}"
    elif table.experiment and (none := [row for row in table.rows if table.model(row) not in models]):
        yield f"rows {', '.join(none)}: no files of conf/model"
    if table.counterpart not in ("", *paper.tables):
        yield f"counterpart {table.counterpart} is no table"
    if strange := [row for row, spec in table.rows.items() if spec.counterpart and spec.counterpart not in there]:
        yield f"counterparts of {', '.join(strange)} are no rows of table {table.counterpart}"
    if none := [row for pair in table.pairs for row in pair if row not in everywhere]:
        yield f"pairs: {', '.join(none)} stand in no table"


def _of_claim(claim: Claim, paper: Paper, everywhere: set[str], models: set[str]) -> Iterator[str]:
    rows, against = len(claim.rows), len(claim.against)
    if claim.table not in (*paper.tables, SPEED):
        yield f"table {claim.table}: there are {', '.join([*paper.tables, SPEED])}"
        return
    of_table, anywhere = (models, models) if claim.table == SPEED else (paper.tables[claim.table].rows, everywhere)
    if not set(claim.rows) <= set(of_table):
        yield f"rows {', '.join(claim.rows)}: not all stand in its table"
    if not set(claim.against) <= anywhere:
        yield f"against {', '.join(claim.against)}: not all stand in a table"
    if (claim.rule == "faster") != (claim.table == SPEED):
        yield f"rule {claim.rule} of table {claim.table}: faster is the rule of {SPEED}, and its only one"
    if claim.rule == "faster" and claim.margin is not None:
        yield f"margin {claim.margin}: in points of test error, and rule faster has none"
    if claim.rule in get_args(BaselineRule) and against:
        yield f"rule {claim.rule} takes no against: its rows are held against the baseline"
    if claim.rule in get_args(RowRule) and not against:
        yield f"rule {claim.rule} takes rows in against"
    if claim.rule == "same_error" and rows != against:
        yield "rule same_error takes as many rows as against"
    if claim.rule == "greater_gain" and (rows, against) != (2, 2):
        yield "rule greater_gain takes two rows and two against"


def _no_keys(named: list[str], known: set[str]) -> list[str]:
    return [
        f"{key} is not a key: {hint(key, known, '--help of hybridsep.run shows all')}"
        for key in named
        if key not in known
    ]


def _configuration_keys() -> set[str]:
    """Return the keys of a run's configuration; of its network and module those that files of conf/model state."""
    parts = (
        {key: tree[key] for key in ("network", "module") if isinstance(tree.get(key), dict)} for tree in _trees("model")
    )
    return {*keys(Config), *(f"model.{key}" for part in parts for key in flatten(part))}


def _trees(group: str) -> Iterator[dict[str, Any]]:
    """Yield what the files of a group of conf/ hold, but those that cannot be read: Hydra refuses them when chosen."""
    for path in (config_dir() / group).rglob("*.yaml"):
        with suppress(ConfigError):
            yield overrides.read_yaml(path)
