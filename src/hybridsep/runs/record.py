"""The schema of record.json: its keys, their types and ranges, checked by pydantic wherever a record is read.

A key that a later version adds is no error, and one that an earlier version did not write has a default.
"""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval

from hybridsep.config.schema import NumberFormat, SubsetMode

if TYPE_CHECKING:
    from pydantic import TypeAdapter


class State(StrEnum):
    """How a trial stands."""

    FINISHED = "finished"
    RUNNING = "running"
    INTERRUPTED = "interrupted"  # also one that was not begun, once its command is over
    DIVERGED = "diverged"
    FAILED = "failed"
    # No record says these:
    BUSY = "busy"  # another process is training it
    KILLED = "killed"  # in the middle of it
    UNUSABLE = "unusable"  # its folder cannot be read
    MISSING = "missing"

    def __repr__(self) -> str:
        """Return what messages about a record show."""
        return repr(self.value)


Status = Literal[State.FINISHED, State.RUNNING, State.INTERRUPTED, State.DIVERGED, State.FAILED]
Count = Annotated[int, Interval(ge=0, le=10**18)]
AtLeastOne = Annotated[int, Interval(ge=1, le=10**9)]
Trial = Annotated[int, Interval(ge=0, le=10**9)]
Percentage = Annotated[float, Interval(ge=0, le=100)]
Amount = Annotated[float, Interval(ge=0, le=1e15)]


@dataclass(frozen=True)
class DatasetIdentity:
    """Which images: `sha256` is of their decoded content (`hybridsep.data.Dataset`)."""

    sha256: str
    name: str
    title: str
    train: AtLeastOne
    test: AtLeastOne
    classes: tuple[str, ...]
    height: int | None = None
    width: int | None = None
    mean: tuple[float, ...] | None = None  # of each channel, by which images are normalised, for values in [0, 1]
    std: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Cost:
    """Parameters, and multiply-accumulates of one image."""

    params: Count | None = None
    macs: Count | None = None


@dataclass(frozen=True)
class Epoch:
    """A line of history.csv. Errors in percent; images/s of training alone, seconds of training and evaluation."""

    epoch: int
    train_loss: float
    train_error: float
    test_loss: float
    test_error: float
    learning_rate: float
    images_per_second: float
    seconds: float


@dataclass(frozen=True)
class Result:
    """How a finished trial ended; errors in percent. The best epoch is a diagnostic."""

    epochs: AtLeastOne
    test_error: Percentage
    test_error_all: Percentage
    best_epoch: AtLeastOne | None = None
    best_test_error_all: Percentage | None = None


@dataclass(frozen=True)
class Timings:
    """How long a trial took. It shared its machine with up to `trials_at_once - 1` others of its row.

    `seconds`: training and evaluation of all epochs. `train_images_per_second`: of this trial alone, training without
    evaluation, the median of its epochs; all trials side by side train up to `trials_at_once` times as many.
    """

    seconds: Amount | None = None
    train_images_per_second: Amount | None = None
    trials_at_once: Annotated[int, Interval(ge=1, le=10**6)] | None = None

    @property
    def at_once(self) -> int:
        """Trials side by side; records of early versions do not say, and had one."""
        return self.trials_at_once or 1


@dataclass(frozen=True)
class Machine:
    """What the trial ran on; no host name, no path. `cuda_graph` says why there was none where one was asked for."""

    processor: str | None = None
    gpu: str | None = None
    threads: Annotated[int, Interval(ge=0, le=10**6)] | None = None
    cores: int | None = None
    system: str | None = None
    device: str | None = None  # cpu or cuda: which of several equal GPUs it was changes nothing
    cuda: str | None = None
    tf32: bool | None = None
    compiled: bool | None = None
    cuda_graph: str | None = None


@dataclass(frozen=True)
class Git:
    """The commit of the code, whether files were changed there, and the commits before it that trained a part.

    `source`: "git", or "HYBRIDSEP_COMMIT" where a copy without `.git` was told its commit.
    """

    commit: str | None = None
    earlier: tuple[str, ...] = ()
    dirty: bool | None = None
    source: str | None = None


@dataclass(frozen=True)
class Schedule:
    """The part of a configuration's schedule that the report names."""

    epochs: AtLeastOne
    name: str = "unknown"


@dataclass(frozen=True)
class Evaluation:
    """Which test images count."""

    subset: SubsetMode
    images: AtLeastOne


@dataclass(frozen=True)
class Model:
    """A row's network and module, as they are instantiated."""

    network: dict[str, Any]
    module: dict[str, Any]
    name: str = ""
    title: str = ""


@dataclass(frozen=True)
class Size:
    """The size that a network was asked for."""

    name: str = "unknown"


@dataclass(frozen=True)
class Data:
    """Where the images came from."""

    source: dict[str, Any]


@dataclass(frozen=True)
class Augmentation:
    """The part of a configuration's augmentation that decides what a network sees when it is evaluated."""

    crop: int | None = None


@dataclass(frozen=True)
class Settings:
    """The keys of a resolved configuration that the report names. The whole of it is `Record.config`."""

    seed: int
    schedule: Schedule
    evaluation: Evaluation
    model: Model
    data: Data
    augmentation: Augmentation
    size: Size = field(default_factory=Size)
    precision: Literal["unknown", NumberFormat] = "unknown"
    match: str = "none"
    paired: bool = True


@dataclass(frozen=True, kw_only=True)
class Record:
    """record.json. `config` is resolved; of folders and files it has the last name only."""

    identity: str
    status: Status
    message: str
    study: str
    row: str
    trial: Trial
    config: dict[str, Any]
    settings: Settings
    dataset: DatasetIdentity
    model: Cost
    result: Result | None = None
    timings: Timings
    versions: dict[str, str]
    machine: Machine
    git: Git
    started: str
    updated: str
    overrides: tuple[str, ...] = ()  # as they were typed; of folders and files the last name only


def as_json(part: Any) -> dict[str, Any]:
    """Return a record, or a part of one, as it is written: `settings` are a part of its `config`."""
    return {key: value for key, value in asdict(part).items() if key != "settings"}


def settings(config: dict[str, Any]) -> Settings:
    """Return the keys of a resolved configuration that the report names."""
    from pydantic import TypeAdapter

    return TypeAdapter(Settings).validate_python(config)


@cache
def adapter() -> "TypeAdapter[Record]":
    """Return the check of a record; pydantic is imported here, so that `--help` does not wait for it."""
    from pydantic import TypeAdapter

    return TypeAdapter(Record)
