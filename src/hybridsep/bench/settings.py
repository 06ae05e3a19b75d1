"""What the bench takes from `conf/bench.yaml` and the command line, typed and checked."""

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Interval, MinLen
from omegaconf import MISSING

from hybridsep.config import config_dir, overrides
from hybridsep.config.ranges import Count, Device, Matches, Positive, Threads
from hybridsep.config.validation import check_ranges, refuse

Shape = Annotated[
    str,
    Matches("[1-9][0-9]{0,4}x[1-9][0-9]{0,4}x[1-9][0-9]{0,3}", "studies x rows x trials, such as 1x6x10"),
]
Label = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", "letters, digits and ._- (files are named after it), at most 40 characters"
    ),
]
Images = Annotated[int, Interval(ge=1, le=10**9)]
UpTo100 = Annotated[int, Interval(ge=0, le=100)]


@dataclass
class Throughput:
    images: Annotated[int, Interval(ge=10, le=1_000_000)] = MISSING
    rounds: Count = MISSING
    seconds: Positive = MISSING
    at_once: Annotated[int, Interval(ge=2, le=100)] | None = None
    workers: UpTo100 | None = None
    compile: bool = MISSING
    starts: UpTo100 = MISSING


@dataclass
class Floor:
    experiments: list[str] = MISSING
    train_images: Images = MISSING
    test_images: Images = MISSING


@dataclass
class Numerics:
    steps: Count = MISSING
    learning_rate: Positive = MISSING
    images: Annotated[int, Interval(ge=10, le=1_000_000)] = MISSING


@dataclass
class Profile:
    steps: Count = MISSING
    untimed: Count = MISSING


@dataclass
class Scaling:
    trials: list[Annotated[int, Interval(ge=1, le=1000)]] = MISSING
    widths: list[Annotated[int, Interval(ge=1, le=100)]] = MISSING
    epochs: Count = MISSING
    folders: list[Shape] = MISSING
    images: Annotated[int, Interval(ge=100, le=1_000_000)] = MISSING


@dataclass
class Chip:
    """Figures of a chip: memory bandwidth, dense bfloat16 matrix rate, and the host's time for one kernel launch."""

    name: str = MISSING
    bytes_per_second: Positive = MISSING
    flops_per_second: Positive = MISSING
    seconds_per_launch: Positive = MISSING


@dataclass
class BenchSettings:
    """Everything the command line can set; see conf/bench.yaml for what each key means."""

    results: str = MISSING
    label: Label | None = None
    device: Device = MISSING
    threads: Threads | None = None
    models: Annotated[list[str], MinLen(1)] = MISSING
    size: str | None = None
    batch: Annotated[int, Interval(ge=2, le=1_000_000)] = MISSING
    throughput: Throughput = field(default_factory=Throughput)
    floor: Floor = field(default_factory=Floor)
    numerics: Numerics = field(default_factory=Numerics)
    profile: Profile = field(default_factory=Profile)
    scaling: Scaling = field(default_factory=Scaling)
    chip: Chip = field(default_factory=Chip)


def load(words: list[str], *, commands: str) -> BenchSettings:
    """Return conf/bench.yaml with `key=value` words laid over it. Raises ConfigError naming key and allowed values."""
    settings = overrides.load(BenchSettings, config_dir() / "bench.yaml", words, others=f"or one of {commands}")
    check_ranges(settings)
    batch = settings.batch
    for key, images, least in (
        ("throughput.images", settings.throughput.images, batch),
        ("numerics.images", settings.numerics.images, 2 * batch),
    ):
        if images < least:
            raise refuse(key, images, f"a whole number from {least} to 1000000 with batch={batch}")
    return settings


def shape(text: str) -> tuple[int, int, int]:
    """Return `(studies, rows, trials)` of a checked `1x6x10`."""
    studies, rows, trials = map(int, text.split("x"))
    return studies, rows, trials


def describe() -> str:
    """Return every key with its value, one per line."""
    return overrides.describe(config_dir() / "bench.yaml")
