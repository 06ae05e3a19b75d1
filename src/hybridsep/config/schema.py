"""The typed configuration: which keys exist, of which type and range, and what must hold between them.

The values live in `conf/`.
Nothing here imports torch, so `--help` and the report stay quick.
"""

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Interval, Len, MinLen, MultipleOf, doc
from omegaconf import MISSING, OmegaConf

from hybridsep.config.ranges import Count, Device, Fraction, Matches, OneOf, Positive, Threads, check_ranges, refuse
from hybridsep.errors import ConfigError

_ARCHIVE_SUFFIX = re.compile(r"\.(tar(\.(xz|gz|bz2))?|tgz|txz)$")
Name = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9._,=+-]{0,99}",
        "letters, digits and ._,=+- (a folder is named after it), at most 100 characters",
    ),
]
Side = Annotated[int, MultipleOf(4), Interval(ge=4, le=4096), doc("in pixels")]
Factor = Annotated[float, Interval(gt=0, le=10), doc("1 is none")]


@dataclass
class ModelConfig:
    """One row of a table: a network with a module in its slot."""

    name: str = MISSING
    title: str = MISSING
    network: dict[str, Any] = MISSING
    module: dict[str, Any] = MISSING


@dataclass
class SizeConfig:
    """Size of the baseline network (`hybridsep.networks.Stack`)."""

    name: str = MISSING
    widths: Annotated[list[Annotated[int, Interval(ge=1, le=65536)]], MinLen(1)] = MISSING
    depth: Annotated[int, Interval(ge=1, le=1000)] = MISSING
    stem_stride: int = MISSING
    act_layer: str = MISSING
    dropout: Fraction = MISSING
    residual: bool = MISSING


@dataclass
class AugmentationConfig:
    """What happens to a training image. `kind`: crop_flip, crop_flip_cutout or none; `crop` null: the image's side.

    `hue`, `saturation` and `exposure` are the limits of darknet's colour jitter (`hybridsep.data.jitter`).
    """

    kind: Annotated[str, OneOf(("crop_flip", "crop_flip_cutout", "none"))] = MISSING
    padding: Annotated[int, Interval(ge=0, le=16), doc("in pixels")] = MISSING
    crop: Side | None = None
    cutout: Annotated[int, Interval(ge=1, le=4096), doc("in pixels")] = MISSING
    hue: Annotated[float, Interval(ge=0, le=0.5), doc("of the colour circle; 0 is none")] = 0.0
    saturation: Factor = 1.0
    exposure: Factor = 1.0


@dataclass
class DataConfig:
    """A dataset. `mean` and `std` are per channel in [0, 1]; null means measured on the training images."""

    name: Name = MISSING
    title: str = MISSING
    path: str | None = None
    source: dict[str, Any] = MISSING
    mean: Annotated[list[float], Len(3, 3), doc("or null for measured ones")] | None = None
    std: Annotated[list[Positive], Len(3, 3), doc("or null for measured ones")] | None = None


@dataclass
class ScheduleConfig:
    """Length of training and optimiser."""

    name: str = MISSING
    epochs: Annotated[int, Interval(ge=1, le=100_000)] = MISSING
    batch_size: Count = MISSING
    learning_rate: Positive = MISSING
    warmup_epochs: Annotated[float, Ge(0)] = MISSING
    decay: Annotated[str, OneOf(("cosine", "step", "polynomial"))] = MISSING
    decay_steps: list[Annotated[float, Interval(gt=0, lt=1)]] = MISSING
    decay_factor: Positive = MISSING
    decay_power: Positive = MISSING
    momentum: Fraction = MISSING
    nesterov: bool = MISSING
    weight_decay: Annotated[float, Ge(0)] = MISSING
    label_smoothing: Fraction = MISSING


@dataclass
class EvaluationConfig:
    """Which test images count; `subset` paper: drawn per trial; `images` null: 60 %, as in the paper."""

    subset: Annotated[str, OneOf(("paper", "fixed", "all"))] = MISSING
    images: Annotated[int, Interval(ge=1, le=10**9), doc("or null for 60 %")] | None = None


@dataclass
class SpeedConfig:
    """What `task=speed` measures: batch sizes, the random images' shape, seconds for all `repeats` blocks of each."""

    train_batch: Annotated[int, Interval(ge=2, le=1_000_000), doc("because of BatchNorm")] = 128
    inference_batches: Annotated[list[Count], MinLen(1)] = field(default_factory=lambda: [1, 256])
    height: Side = 32
    classes: Annotated[int, Interval(ge=2, le=100_000)] = 10
    seconds_per_measurement: Annotated[float, Interval(gt=0, le=86400)] = 6.0
    repeats: Annotated[int, Interval(ge=1, le=10_000)] = 12


@dataclass
class Config:
    """Everything `python -m hybridsep.run` takes."""

    model: ModelConfig = field(default_factory=ModelConfig)
    size: SizeConfig = field(default_factory=SizeConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    speed: SpeedConfig = field(default_factory=SpeedConfig)
    task: Annotated[str, OneOf(("train", "speed"))] = "train"
    trial: Any = MISSING
    seed: int = MISSING
    paired: bool = MISSING
    match: Annotated[str, OneOf(("none", "params"))] = MISSING
    precision: Annotated[str, OneOf(("auto", "bfloat16", "float32"))] = MISSING
    study: Name = MISSING
    row: Name = MISSING
    results: str = MISSING
    data_dir: str = MISSING
    device: Device = MISSING
    threads: Annotated[Threads, doc("or null for all cores")] | None = None
    trials_at_once: Annotated[int, Interval(ge=1, le=256), doc("or null to let it be chosen")] | None = None
    cuda_graph: bool = True
    compile: bool = False
    fail_fast: bool = False
    max_minutes: Annotated[float, Interval(gt=0, le=10**7), doc("or null for no limit")] | None = None


def stem(path: str | None) -> str:
    """Name of a dataset from its path: `a/b/cifar10-jpeg.tar.xz` and `a/b/cifar10-jpeg/` are both `cifar10-jpeg`."""
    return _ARCHIVE_SUFFIX.sub("", Path(path or "").name) or "data"


def config_dir() -> Path:
    """Folder of the YAML files: inside the installed package, or `conf/` at the top of a source checkout."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "conf", package.parents[1] / "conf"):
        if (candidate / "config.yaml").is_file():
            return candidate
    raise ConfigError(f"no conf/ folder beside {package}: reinstall hybridsep")


def register() -> None:
    """Give Hydra the schema and the resolvers `${stem:...}` and `${tempdir:}`."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("stem", stem, replace=True)
    OmegaConf.register_new_resolver("tempdir", tempfile.gettempdir, replace=True)


def check(config: Config) -> None:
    """Raise ConfigError for the first value out of range, naming the key and what is allowed."""
    schedule, data = config.schedule, config.data
    if not OmegaConf.is_dict(data.source):
        raise refuse("data.source", data.source, "keys, one of them _target_")
    if data.path is None and "path" in data.source:
        raise ConfigError(
            "data.path is missing: data.path=FOLDER_OR_TAR, with train/CLASS/FILE and test/CLASS/FILE in it"
        )
    check_ranges(config)
    warmup, epochs, steps = schedule.warmup_epochs, schedule.epochs, list(schedule.decay_steps)
    if warmup > epochs:
        short = "; for a training this short add schedule.warmup_epochs=0"
        raise refuse("schedule.warmup_epochs", f"{warmup:g}", f"at most schedule.epochs={epochs}{short}")
    if steps != sorted(steps):
        raise refuse("schedule.decay_steps", steps, "rising fractions of training between 0 and 1")
    if schedule.nesterov and schedule.momentum == 0:
        raise refuse("schedule.momentum", 0, "above 0 with schedule.nesterov=true")
    if (data.mean is None) != (data.std is None):
        raise refuse("data.mean", data.mean, "null exactly when data.std is null")
