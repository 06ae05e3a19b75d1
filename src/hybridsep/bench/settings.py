"""What the bench takes from `conf/bench.yaml` and the command line, typed and checked."""

import math
import re
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from hybridsep.config import config_dir, overrides
from hybridsep.errors import ConfigError

_SHAPE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})x([1-9][0-9]{0,3})", re.ASCII)


@dataclass
class Throughput:
    images: int = MISSING
    rounds: int = MISSING
    seconds: float = MISSING
    at_once: int | None = None
    workers: int | None = None
    compile: bool = MISSING
    starts: int = MISSING


@dataclass
class Floor:
    experiments: list[str] = MISSING
    train_images: int = MISSING
    test_images: int = MISSING


@dataclass
class Numerics:
    steps: int = MISSING
    learning_rate: float = MISSING
    images: int = MISSING


@dataclass
class Profile:
    steps: int = MISSING
    untimed: int = MISSING


@dataclass
class Scaling:
    trials: list[int] = MISSING
    widths: list[int] = MISSING
    epochs: int = MISSING
    folders: list[str] = MISSING
    images: int = MISSING


@dataclass
class Chip:
    """Figures of a chip: memory bandwidth, dense bfloat16 matrix rate, and the host's time for one kernel launch."""

    name: str = MISSING
    bytes_per_second: float = MISSING
    flops_per_second: float = MISSING
    seconds_per_launch: float = MISSING


@dataclass
class Settings:
    """Everything the command line can set; see conf/bench.yaml for what each key means."""

    results: str = MISSING
    label: str | None = None
    device: str = MISSING
    threads: int | None = None
    models: list[str] = MISSING
    size: str | None = None
    batch: int = MISSING
    throughput: Throughput = field(default_factory=Throughput)
    floor: Floor = field(default_factory=Floor)
    numerics: Numerics = field(default_factory=Numerics)
    profile: Profile = field(default_factory=Profile)
    scaling: Scaling = field(default_factory=Scaling)
    chip: Chip = field(default_factory=Chip)


def load(words: list[str], *, commands: str) -> Settings:
    """Return conf/bench.yaml with `key=value` words laid over it. Raises ConfigError naming key and allowed values."""
    settings = overrides.load(Settings, config_dir() / "bench.yaml", words, others=f"or one of {commands}")
    check(settings)
    return settings


def check(settings: Settings) -> None:
    """Raise ConfigError for the first value out of range."""

    def require(ok: bool, key: str, value: Any, allowed: str) -> None:
        if not ok:
            raise ConfigError(f"{key}={value} is not allowed: {allowed}")

    def whole(key: str, value: int | None, least: int, most: int = 1_000_000) -> None:
        require(value is None or least <= value <= most, key, value, f"a whole number from {least} to {most}")

    def positive(key: str, value: float) -> None:
        require(math.isfinite(value) and value > 0, key, value, "a finite number above 0")

    named = settings.label is None or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", settings.label)
    require(bool(named), "label", settings.label, "letters, digits and ._- (files are named after it), at most 40")
    require(settings.device.split(":")[0] in ("auto", "cpu", "cuda"), "device", settings.device, "auto, cpu or cuda")
    require(len(settings.models) >= 1, "models", settings.models, "one model or more")
    whole("threads", settings.threads, 1)
    whole("batch", settings.batch, 2)
    throughput, scaling = settings.throughput, settings.scaling
    whole("throughput.images", throughput.images, max(10, settings.batch))
    whole("throughput.rounds", throughput.rounds, 1)
    positive("throughput.seconds", throughput.seconds)
    whole("throughput.at_once", throughput.at_once, 2, 100)
    whole("throughput.workers", throughput.workers, 0, 100)
    whole("throughput.starts", throughput.starts, 0, 100)
    whole("floor.train_images", settings.floor.train_images, 1, 10**9)
    whole("floor.test_images", settings.floor.test_images, 1, 10**9)
    whole("numerics.steps", settings.numerics.steps, 1)
    whole("numerics.images", settings.numerics.images, max(10, 2 * settings.batch))
    positive("numerics.learning_rate", settings.numerics.learning_rate)
    whole("profile.steps", settings.profile.steps, 1)
    whole("profile.untimed", settings.profile.untimed, 1)
    for value in scaling.trials:
        whole("scaling.trials", value, 1, 1000)
    for value in scaling.widths:
        whole("scaling.widths", value, 1, 100)
    whole("scaling.epochs", scaling.epochs, 1)
    whole("scaling.images", scaling.images, 100)
    for shape in scaling.folders:
        require(bool(_SHAPE.fullmatch(shape)), "scaling.folders", shape, "studies x rows x trials, such as 1x6x10")
    for key in ("bytes_per_second", "flops_per_second", "seconds_per_launch"):
        positive(f"chip.{key}", getattr(settings.chip, key))


def shape(text: str) -> tuple[int, int, int]:
    """Return `(studies, rows, trials)` of a checked `1x6x10`."""
    studies, rows, trials = map(int, text.split("x"))
    return studies, rows, trials


def describe() -> str:
    """Return every key with its value, one per line."""
    return overrides.describe(config_dir() / "bench.yaml")
