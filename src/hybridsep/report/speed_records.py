"""What `task=speed` writes, `results/speed/<study>/<row>.json`, and the records of a study that can be compared.

A file that cannot be used, or was measured under other conditions than most of its study, is named and left out.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from annotated_types import Interval

from hybridsep.config.identity import flatten
from hybridsep.report.folders import Problem
from hybridsep.runs import records as run_records
from hybridsep.runs.record import Machine

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1
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


def settings(config: dict[str, Any]) -> Settings:
    """Return what a record keeps by itself of a resolved configuration."""
    from pydantic import TypeAdapter

    return TypeAdapter(Settings).validate_python(config)


@cache
def _adapter() -> "TypeAdapter[SpeedRecord]":
    from pydantic import TypeAdapter

    return TypeAdapter(SpeedRecord)


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


def of_one_kind(results: Path, study: str, records: Sequence[SpeedRecord]) -> tuple[list[SpeedRecord], list[Problem]]:
    """Return the records that were measured under the conditions of most, and the others by name."""
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
