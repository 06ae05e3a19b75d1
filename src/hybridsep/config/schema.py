"""The typed configuration: schema, the syntax of `trial=`, and checks across fields.

The values live in `conf/`; this file says which keys exist and of which type.
Nothing here imports torch, so `--help` and the report stay quick.
"""

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING, OmegaConf

from hybridsep.errors import ConfigError

_ARCHIVE_SUFFIX = re.compile(r"\.(tar(\.(xz|gz|bz2))?|tgz|txz)$")
MAX_TRIAL = 9999


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
    widths: list[int] = MISSING
    depth: int = MISSING
    stem_stride: int = MISSING
    act_layer: str = MISSING
    dropout: float = MISSING
    residual: bool = MISSING


@dataclass
class AugmentationConfig:
    """What happens to a training image. `kind`: crop_flip, crop_flip_cutout or none; `crop` null: the image's side.

    `hue`, `saturation` and `exposure` are the limits of darknet's colour jitter (`hybridsep.data.jitter`).
    """

    kind: str = MISSING
    padding: int = MISSING
    crop: int | None = None
    cutout: int = MISSING
    hue: float = 0.0
    saturation: float = 1.0
    exposure: float = 1.0


@dataclass
class DataConfig:
    """A dataset. `mean` and `std` are per channel in [0, 1]; null means measured on the training images."""

    name: str = MISSING
    title: str = MISSING
    path: str | None = None
    source: dict[str, Any] = MISSING
    mean: list[float] | None = None
    std: list[float] | None = None


@dataclass
class ScheduleConfig:
    """Length of training and optimiser. `decay` is cosine, step or polynomial."""

    name: str = MISSING
    epochs: int = MISSING
    batch_size: int = MISSING
    learning_rate: float = MISSING
    warmup_epochs: float = MISSING
    decay: str = MISSING
    decay_steps: list[float] = MISSING
    decay_factor: float = MISSING
    decay_power: float = MISSING
    momentum: float = MISSING
    nesterov: bool = MISSING
    weight_decay: float = MISSING
    label_smoothing: float = MISSING


@dataclass
class EvaluationConfig:
    """Which test images count: `subset`: paper (per trial), fixed or all; `images` null: 60 %, as in the paper."""

    subset: str = MISSING
    images: int | None = None


@dataclass
class SpeedConfig:
    """What `task=speed` measures: batch sizes, the random images' shape, seconds for all `repeats` blocks of each."""

    train_batch: int = 128
    inference_batches: list[int] = field(default_factory=lambda: [1, 256])
    height: int = 32
    classes: int = 10
    seconds_per_measurement: float = 6.0
    repeats: int = 12


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
    task: str = "train"
    trial: Any = MISSING
    seed: int = MISSING
    paired: bool = MISSING
    match: str = MISSING
    precision: str = MISSING
    study: str = MISSING
    row: str = MISSING
    results: str = MISSING
    data_dir: str = MISSING
    device: str = MISSING
    threads: int | None = None
    trials_at_once: int | None = None
    cuda_graph: bool = True
    compile: bool = False
    max_minutes: float | None = None


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


def parse_trials(value: Any) -> list[int]:
    """Return the trials that `trial=` names: `3`, `0..9` (both ends included) or a list of these, `[0,2,5..7]`.

    Raises ConfigError for anything else, an empty or backward range, a repeated trial, or a number outside 0..9999.
    """
    allowed = f"allowed are 3, 0..9 or [0,2,5..7] with numbers from 0 to {MAX_TRIAL}"
    parts = list(value) if OmegaConf.is_list(value) or isinstance(value, list | tuple) else [value]
    trials: list[int] = []
    for part in parts:
        match = re.fullmatch(r"([0-9]{1,9})(?:\.\.([0-9]{1,9}))?", str(part), re.ASCII)
        if match is None or isinstance(part, bool | float):
            raise ConfigError(f"trial={_show(value)} is not a trial: {allowed}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ConfigError(f"trial={_show(value)} runs backward ({first}..{last}): {allowed}")
        if last > MAX_TRIAL:
            raise ConfigError(f"trial={_show(value)} is too large: {allowed}")
        trials.extend(range(first, last + 1))
    if not trials:
        raise ConfigError(f"trial={_show(value)} names no trial: {allowed}")
    if len(set(trials)) != len(trials):
        raise ConfigError(f"trial={_show(value)} names a trial twice: {allowed}")
    return trials


def _show(value: Any) -> str:
    items = list(value) if OmegaConf.is_list(value) else value
    return "[" + ",".join(map(str, items)) + "]" if isinstance(items, list | tuple) else str(items)


def _require(ok: bool, key: str, value: Any, allowed: str) -> None:
    if not ok:
        raise ConfigError(f"{key}={_show(value)} is not allowed: {allowed}")


def _choice(key: str, value: str, choices: tuple[str, ...]) -> None:
    _require(value in choices, key, value, "choose " + ", ".join(choices))


def check(config: Config) -> None:
    """Raise ConfigError for the first value out of range, naming the key and what is allowed."""
    schedule, augmentation, data = config.schedule, config.augmentation, config.data
    if data.path is None and "path" in OmegaConf.to_container(data.source, resolve=False):
        raise ConfigError(
            "data.path is missing: data.path=FOLDER_OR_TAR, with train/CLASS/FILE and test/CLASS/FILE in it"
        )
    _choice("augmentation.kind", augmentation.kind, ("crop_flip", "crop_flip_cutout", "none"))
    _choice("schedule.decay", schedule.decay, ("cosine", "step", "polynomial"))
    _choice("evaluation.subset", config.evaluation.subset, ("paper", "fixed", "all"))
    _choice("match", config.match, ("none", "params"))
    _choice("precision", config.precision, ("auto", "bfloat16", "float32"))
    _choice("device", config.device.split(":")[0], ("auto", "cpu", "cuda"))
    _choice("task", config.task, ("train", "speed"))
    positive = "a whole number of at least 1"
    for key, number in {
        "schedule.epochs": schedule.epochs,
        "schedule.batch_size": schedule.batch_size,
        "size.depth": config.size.depth,
    }.items():
        _require(number >= 1, key, number, positive)
    speed = config.speed
    _require(speed.train_batch >= 2, "speed.train_batch", speed.train_batch, "at least 2, because of BatchNorm")
    _require(speed.repeats >= 1, "speed.repeats", speed.repeats, positive)
    batches = speed.inference_batches
    _require(
        len(batches) >= 1 and min(batches) >= 1, "speed.inference_batches", batches, "one batch of at least 1, or more"
    )
    _require(speed.height >= 4 and speed.height % 4 == 0, "speed.height", speed.height, "a multiple of 4 pixels")
    _require(speed.classes >= 2, "speed.classes", speed.classes, "at least 2")
    _require(
        speed.seconds_per_measurement > 0, "speed.seconds_per_measurement", speed.seconds_per_measurement, "above 0"
    )
    widths = config.size.widths
    _require(len(widths) >= 1 and min(widths) >= 1, "size.widths", widths, "one width of at least 1 per stage")
    _require(0 <= config.size.dropout < 1, "size.dropout", config.size.dropout, "from 0 to below 1")
    _require(schedule.learning_rate > 0, "schedule.learning_rate", schedule.learning_rate, "above 0")
    warmup = schedule.warmup_epochs
    _require(0 <= warmup <= schedule.epochs, "schedule.warmup_epochs", warmup, "from 0 to schedule.epochs")
    steps = list(schedule.decay_steps)
    ordered = steps == sorted(steps) and all(0 < step < 1 for step in steps)
    _require(ordered, "schedule.decay_steps", steps, "rising fractions of training between 0 and 1")
    _require(schedule.decay_factor > 0, "schedule.decay_factor", schedule.decay_factor, "above 0")
    _require(schedule.decay_power > 0, "schedule.decay_power", schedule.decay_power, "above 0")
    _require(0 <= schedule.momentum < 1, "schedule.momentum", schedule.momentum, "from 0 to below 1")
    _require(
        schedule.momentum > 0 or not schedule.nesterov, "schedule.momentum", 0, "above 0 with schedule.nesterov=true"
    )
    _require(schedule.weight_decay >= 0, "schedule.weight_decay", schedule.weight_decay, "at least 0")
    _require(
        0 <= schedule.label_smoothing < 1, "schedule.label_smoothing", schedule.label_smoothing, "from 0 to below 1"
    )
    _require(0 <= augmentation.padding <= 16, "augmentation.padding", augmentation.padding, "from 0 to 16 pixels")
    images = config.evaluation.images
    _require(images is None or images >= 1, "evaluation.images", images, f"{positive}, or null for 60 %")
    crop = augmentation.crop
    _require(
        crop is None or (crop >= 4 and crop % 4 == 0), "augmentation.crop", crop, "a multiple of 4 pixels, or null"
    )
    hue = augmentation.hue
    _require(0 <= hue <= 0.5, "augmentation.hue", hue, "from 0 (none) to 0.5 of the colour circle")
    for key, limit in (("saturation", augmentation.saturation), ("exposure", augmentation.exposure)):
        _require(0 < limit <= 10, f"augmentation.{key}", limit, "a factor above 0, at most 10; 1 is none")
    _require(augmentation.cutout >= 1, "augmentation.cutout", augmentation.cutout, "a side of at least 1 pixel")
    for key, values in (("data.mean", data.mean), ("data.std", data.std)):
        _require(values is None or len(values) == 3, key, values, "three numbers in [0, 1], or null for measured ones")
    _require(data.std is None or min(data.std) > 0, "data.std", data.std, "above 0")
    _require((data.mean is None) == (data.std is None), "data.mean", data.mean, "null exactly when data.std is null")
    for key, label in (("study", config.study), ("row", config.row), ("data.name", data.name)):
        named = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._,=+-]{0,99}", label) is not None
        _require(named, key, label, "letters, digits and ._,=+- (a folder is named after it), at most 100 characters")
    _require(
        config.threads is None or config.threads >= 1, "threads", config.threads, f"{positive}, or null for all cores"
    )
    at_once = config.trials_at_once
    _require(at_once is None or at_once >= 1, "trials_at_once", at_once, f"{positive}, or null to let it be chosen")
    minutes = config.max_minutes
    _require(minutes is None or minutes > 0, "max_minutes", minutes, "above 0, or null for no limit")
