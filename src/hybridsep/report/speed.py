"""Section 5 of the paper, "separable convolutions run faster": a table from what `task=speed` measured.

Reads `results/speed/<study>/<row>.json`. A file that cannot be used, or was measured under other conditions than most
of its study, is named and left out.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import numpy as np
from annotated_types import Interval

from hybridsep.config.identity import flatten
from hybridsep.report import conditions
from hybridsep.report.folders import Problem
from hybridsep.report.settings import SPEED, AnalysisOptions, Paper
from hybridsep.report.table import Column, Table, build, byte_count, count, csv_only, rate, times
from hybridsep.runs import records as run_records
from hybridsep.runs.record import Machine

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1
DISTURBED = 0.2  # cores busy with other programs, from which on a reader should be told
Positive = Annotated[float, Interval(gt=0, le=1e18)]
PositiveCount = Annotated[int, Interval(gt=0, le=10**18)]


@dataclass(frozen=True)
class Cost:
    """Parameters, and multiply-accumulates of one image."""

    params: PositiveCount
    macs: PositiveCount


@dataclass(frozen=True)
class Rate:
    """Images/s: median and interquartile range of `n` timed blocks; old records do not have the `blocks` themselves."""

    median: Positive
    iqr: Annotated[float, Interval(ge=0, le=1e18)]
    n: PositiveCount
    blocks: tuple[Positive, ...] = ()


@dataclass(frozen=True)
class Timing:
    """What was timed at which batch size, and the most bytes of tensors at once."""

    what: Literal["training", "inference"]
    batch: PositiveCount
    images_per_second: Rate
    peak_bytes: PositiveCount

    @property
    def name(self) -> str:
        """The start of its names in the CSV file."""
        return self.what if self.what == "training" else f"{self.what}_{self.batch}"

    @property
    def title(self) -> str:
        """What was timed, for a reader."""
        if self.what == "training":
            return self.what
        return f"{self.what} of {'one image' if self.batch == 1 else self.batch}"


@dataclass(frozen=True)
class Size:
    """The size that a network was asked for."""

    name: str = "unknown"
    widths: tuple[int, ...] = ()
    depth: int | None = None
    stem_stride: int | None = None
    act_layer: str | None = None
    dropout: float | None = None
    residual: bool | None = None


@dataclass(frozen=True)
class Shape:
    """Batch sizes, and the random images."""

    height: PositiveCount
    classes: PositiveCount
    train_batch: PositiveCount | None = None
    inference_batches: tuple[PositiveCount, ...] = ()


@dataclass(frozen=True)
class Settings:
    """The keys of a resolved configuration that rows must share for their speeds to be comparable."""

    speed: Shape
    size: Size = field(default_factory=Size)
    match: str = "none"
    augmentation: dict[str, Any] | None = None


@dataclass(frozen=True)
class SpeedRecord:
    """What was measured of a row: results/speed/<study>/<row>.json. `settings` are a part of `config`."""

    format: Literal[1]
    study: str
    row: str
    title: str
    cost: Cost
    precision: str
    execution: str
    config: dict[str, Any]
    settings: Settings
    machine: Machine
    versions: dict[str, str]
    measured: str
    busy_elsewhere: float | None
    measurements: tuple[Timing, ...]

    @property
    def training(self) -> Timing:
        """The timing of training."""
        return next(timing for timing in self.measurements if timing.what == "training")

    def timing(self, name: str) -> Timing | None:
        """The timing of a name, if there is one."""
        return next((timing for timing in self.measurements if timing.name == name), None)


@dataclass(frozen=True)
class Speeds:
    """The measurements of a study that can be compared, in the paper's order of rows; there may be none.

    `labels` has the paper's labels of its rows, `baselines` the row that each is held against.
    """

    study: str
    records: Sequence[SpeedRecord]
    labels: Mapping[str, str]
    baselines: Mapping[str, str]

    def of(self, row: str) -> SpeedRecord | None:
        """Return what was measured of a row."""
        return next((record for record in self.records if record.row == row), None)

    def label(self, row: str) -> str:
        """Return what a row is called: as in the paper's tables, else by its own title."""
        record = self.of(row)
        return self.labels.get(row) or (record.title if record else row)

    def blocks(self, row: str) -> dict[str, np.ndarray]:
        """Return the images/s of every timed block of a row, by what was timed; of old records, which lack them, {}."""
        record = self.of(row)
        timings = record.measurements if record else ()
        return {
            timing.title: np.array(timing.images_per_second.blocks)
            for timing in timings
            if timing.images_per_second.blocks
        }

    @property
    def deviations(self) -> list[conditions.Deviation]:
        """What is not as in the paper, of networks and modules."""
        return conditions.of_speed({record.row: record.config for record in self.records})


def settings(config: dict[str, Any]) -> Settings:
    """Return what a record keeps by itself of a resolved configuration."""
    from pydantic import TypeAdapter

    return TypeAdapter(Settings).validate_python(config)


@cache
def _adapter() -> "TypeAdapter[SpeedRecord]":
    from pydantic import TypeAdapter

    return TypeAdapter(SpeedRecord)


def load(results: Path, study: str, paper: Paper) -> tuple[Speeds, list[Problem]]:
    """Return what was measured of a study, and what was left out of it."""
    records, problems = read(results, study)
    records, unlike = _of_one_kind(results, study, records)
    baselines, labels = _of_paper(paper)
    records.sort(key=lambda record: (paper.place(record.row), record.row))
    return Speeds(study, records, labels, baselines), problems + unlike


def read(results: Path, study: str) -> tuple[list[SpeedRecord], list[Problem]]:
    """Return the usable records of a study, in order of their file names, and the files that cannot be used."""
    records, problems = [], []
    for path in sorted((results / "speed" / study).glob("*.json")):
        try:
            raw = json.loads(path.read_bytes())
            content = {**raw, "settings": raw.get("config")} if isinstance(raw, dict) else raw
            record = _adapter().validate_json(json.dumps(content), strict=True)
            if (record.study, record.row) != (study, path.stem):
                raise ValueError(f"it belongs to {record.study}/{record.row}; was it moved or copied?"[:150])
            if sum(timing.what == "training" for timing in record.measurements) != 1:
                raise ValueError("it has no measurement of training")
            records.append(record)
        except (OSError, ValueError, RecursionError) as error:
            of_pydantic = isinstance(error, ValueError) and hasattr(error, "errors")
            reason = run_records.first_key(cast(ValueError, error)) if of_pydantic else str(error)
            problems.append(Problem(study, path, f"{path}: not a measurement of speed ({reason})"))
    return records, problems


def _conditions(record: SpeedRecord) -> dict[str, str]:
    """Return what rows must share for their speeds to be comparable; how long each was timed may differ."""
    shared = {
        **{"precision": record.precision, "execution": record.execution, "machine": asdict(record.machine)},
        "torch": record.versions.get("torch"),
        **asdict(record.settings),
    }
    return {key: str(value) for key, value in flatten(shared).items()}


def _of_one_kind(results: Path, study: str, records: Sequence[SpeedRecord]) -> tuple[list[SpeedRecord], list[Problem]]:
    kinds = [tuple(sorted(_conditions(record).items())) for record in records]
    if len(set(kinds)) <= 1:
        return list(records), []
    usual, _ = Counter(kinds).most_common(1)[0]
    kept, problems = [], []
    for record, kind in zip(records, kinds, strict=True):
        if kind == usual:
            kept.append(record)
            continue
        here, there = dict(kind), dict(usual)
        keys = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
        unlike = ", ".join(f"{key} {here.get(key)}, not {there.get(key)}" for key in keys)
        path = results / "speed" / study / f"{record.row}.json"
        problems.append(Problem(study, path, f"{path}: measured under other conditions than most rows ({unlike})"))
    return kept, problems


@dataclass(frozen=True)
class _Line:
    """A row of the table, and its baseline where that was measured."""

    record: SpeedRecord
    label: str
    baseline: SpeedRecord | None

    def rate(self, name: str) -> Rate | None:
        timing = self.record.timing(name)
        return timing.images_per_second if timing else None

    def relative(self, name: str) -> float | None:
        own, other = self.record.timing(name), self.baseline.timing(name) if self.baseline else None
        return own.images_per_second.median / other.images_per_second.median if own and other else None


def table(speeds: Speeds, options: AnalysisOptions) -> Table:
    """Return the table of at least one measurement."""
    records = speeds.records
    lines = [
        _Line(record, speeds.label(record.row), speeds.of(speeds.baselines.get(record.row, options.baseline)))
        for record in records
    ]
    batches = sorted(
        {timing.batch for record in records for timing in record.measurements if timing.what == "inference"}
    )
    columns: list[Column[_Line]] = [
        csv_only("row", lambda line: line.record.row),
        Column("Row", lambda line: line.label, csv="label", wide=True),
        Column("Parameters", lambda line: line.record.cost.params, count, csv="params"),
        Column("MACs", lambda line: line.record.cost.macs, count, csv="macs"),
        csv_only("baseline", lambda line: line.baseline and line.baseline.row),
        *_rates("Training", "training"),
        Column("Relative", lambda line: line.relative("training"), times),
        *(column for batch in batches for column in _rates(f"Inference {batch}", f"inference_{batch}")),
        Column("Memory", lambda line: line.record.training.peak_bytes, byte_count),
    ]
    return build(
        SPEED,
        "Section 5: speed, images/s",
        columns,
        lines,
        heading=_heading(speeds.study, records),
        warning=_warning(records),
        notes=_notes(lines),
        terminal=True,
    )


def _rates(heading: str, name: str) -> list[Column[_Line]]:
    columns: list[Column[_Line]] = [
        Column(
            heading,
            lambda line: line.rate(name),
            lambda one: rate(one.median, one.iqr) if one else "",
            csv={
                f"{name}_images_per_second": lambda line: (one := line.rate(name)) and one.median,
                f"{name}_iqr": lambda line: (one := line.rate(name)) and one.iqr,
                f"{name}_n": lambda line: (one := line.rate(name)) and one.n,
            },
        ),
        csv_only(f"{name}_relative", lambda line: line.relative(name)),
        csv_only(f"{name}_peak_bytes", lambda line: (timing := line.record.timing(name)) and timing.peak_bytes),
    ]
    return columns


def _of_paper(paper: Paper) -> tuple[dict[str, str], dict[str, str]]:
    """Return `{row: baseline of its table}` and `{row: label}`, from the paper's first table with the row."""
    baselines: dict[str, str] = {}
    labels: dict[str, str] = {}
    for spec in paper.tables.values():
        for row, entry in spec.rows.items():
            if row not in labels:
                labels[row] = entry.label or entry.title
                if spec.baseline:
                    baselines[row] = spec.baseline
    return baselines, labels


def _heading(study: str, records: Sequence[SpeedRecord]) -> list[str]:
    first = records[0]
    settings, machine = first.settings, first.machine
    size, side = settings.size, settings.speed.height
    widths = "-".join(map(str, size.widths))
    threads = f"{machine.threads or 'unknown'} {'thread' if machine.threads == 1 else 'threads'}"
    where = machine.gpu or f"{machine.processor or 'unknown'}, {threads}"
    dates = sorted({record.measured[:10] for record in records})
    return [
        f"Study {study}. Random images {side}x{side}, {settings.speed.classes} classes. Size {size.name} (the stack's"
        f" widths {widths}, depth {size.depth}); match {settings.match}; precision {first.precision};"
        f" {first.execution} execution.",
        f"Machine: {where}; torch {first.versions.get('torch', 'unknown')}; measured"
        f" {' to '.join(dict.fromkeys((dates[0], dates[-1])))}.",
    ]


def _warning(records: Sequence[SpeedRecord]) -> str | None:
    busy = {record.row: record.busy_elsewhere for record in records if record.busy_elsewhere is not None}
    disturbed = [row for row, cores in busy.items() if cores > DISTURBED]
    if not disturbed:
        return None
    return (
        f"Rough numbers: other programs kept up to {max(busy.values()):.1f} cores busy while {len(disturbed)} of"
        f" {len(records)} rows were measured ({', '.join(disturbed)})."
    )


def _notes(lines: Sequence[_Line]) -> list[str]:
    numbers = sorted({line.record.training.images_per_second.n for line in lines})
    blocks = " to ".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))
    against = list(dict.fromkeys(line.baseline.row for line in lines if line.baseline))
    timed = {timing.what for line in lines for timing in line.record.measurements}
    inference = " Inference: by batch size." if "inference" in timed else ""
    notes = [
        f"Median ± half the interquartile range of {blocks} timed blocks. Training: whole SGD steps of"
        f" {lines[0].record.training.batch} images.{inference} Memory: the most bytes of tensors that"
        " exist at once in a training step, the network's own included."
    ]
    if against:
        notes.append(
            "Relative: training speed divided by that of the same network with separable convolutions"
            f" ({', '.join(against)}); below 1, the separable one is faster, as the paper says (it gives no numbers)."
        )
    return notes
