"""What the bench takes from `conf/bench.yaml` and the command line, typed and checked."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval, MinLen

from hybridsep.config import config_dir, overrides
from hybridsep.config.ranges import Count, Device, Folder, Matches, Positive, Threads
from hybridsep.config.validation import refuse

Label = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", "letters, digits and ._- (files are named after it), at most 40 characters"
    ),
]
UpTo100 = Annotated[int, Interval(ge=0, le=100)]


@dataclass(frozen=True, kw_only=True)
class Throughput:
    images: Annotated[int, Interval(ge=10, le=1_000_000)]
    rounds: Count
    seconds: Positive
    at_once: Annotated[int, Interval(ge=2, le=100)] | None
    workers: UpTo100 | None
    compile: bool


@dataclass(frozen=True, kw_only=True)
class Cores:
    sizes: Annotated[list[str], MinLen(1)]
    rounds: Count
    seconds: Positive
    at_once: Annotated[int, Interval(ge=2, le=100)] | None


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """Everything the command line can set; see conf/bench.yaml for what each key means."""

    results: Folder
    label: Label | None
    device: Device
    threads: Threads | None
    models: Annotated[list[str], MinLen(1)]
    size: str
    batch: Annotated[int, Interval(ge=2, le=1_000_000)]
    throughput: Throughput
    cores: Cores


def load(words: list[str]) -> BenchSettings:
    """Return conf/bench.yaml with `key=value` words laid over it. Raises ConfigError naming key and allowed values."""
    return overrides.load(BenchSettings, config_dir() / "bench.yaml", words)


def check_throughput(settings: BenchSettings) -> None:
    """Raise ConfigError when the images do not fill a batch."""
    batch = settings.batch
    if (images := settings.throughput.images) < batch:
        raise refuse("throughput.images", images, f"a whole number from {batch} to 1000000 with batch={batch}")
