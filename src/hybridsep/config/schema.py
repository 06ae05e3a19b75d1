"""The typed configuration: which keys exist, of which type and range, and which of them cannot change the science.

The values live in `conf/`. Nothing here imports torch, so `--help` and the report stay quick.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval, Len, MinLen, MultipleOf, doc

from hybridsep.config.ranges import Count, Device, Folder, Fraction, Matches, Positive, Threads
from hybridsep.config.trials import ALLOWED as TRIALS

_NAME = r"[A-Za-z0-9][A-Za-z0-9._,=+-]{0,99}"
_NAMED = "letters, digits and ._,=+- (a folder is named after it), at most 100 characters"
Name = Annotated[str, Matches(_NAME, _NAMED)]
StudyName = Annotated[str, Matches(rf"(?!all$){_NAME}", f"{_NAMED}; all is every study")]
RowName = Annotated[str, Matches(rf"(?!(asked|plan)\.json$){_NAME}", f"{_NAMED}; asked.json is a file beside it")]
Side = Annotated[int, MultipleOf(4), Interval(ge=4, le=4096), doc("in pixels")]
Auto = Literal["auto"]
NumberFormat = Literal["bfloat16", "float32"]
Precision = Literal["auto", NumberFormat]
SubsetMode = Literal["paper", "fixed", "all", "heldout"]
Factor = Annotated[float, Interval(gt=0, le=10), doc("1 is none")]

# Metadata of a key that cannot change what a trial learns: where things are, how long a process may take, labels, and
# choices that the report makes again from the kept predictions. It is no part of a run's identity.
CARRIED_OUT = {"carried_out": True}


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One row of a table: a network with a module in its slot."""

    name: Name = field(metadata=CARRIED_OUT)
    title: str = field(metadata=CARRIED_OUT)
    network: dict[str, Any]
    module: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SizeConfig:
    """Size of the baseline network (`hybridsep.networks.Stack`), and of the two other networks."""

    name: str
    widths: Annotated[list[Annotated[int, Interval(ge=1, le=65536)]], MinLen(1)]
    depth: Annotated[int, Interval(ge=1, le=1000)]
    stem_stride: int
    act_layer: str
    dropout: Fraction
    residual: bool
    fractalnet_widths: Annotated[list[Annotated[int, Interval(ge=1, le=65536)]], MinLen(1)]
    darknet_width_ratio: Annotated[float, Interval(gt=0, le=1024)]


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """What happens to a training image. `kind`: crop_flip, crop_flip_cutout or none; `crop` null: the image's side.

    `hue`, `saturation` and `exposure` are the limits of darknet's colour jitter (`hybridsep.data.jitter`).
    """

    kind: Literal["crop_flip", "crop_flip_cutout", "none"]
    padding: Annotated[int, Interval(ge=0, le=16), doc("in pixels")]
    crop: Side | None = None
    cutout: Annotated[int, Interval(ge=1, le=4096), doc("in pixels")]
    hue: Annotated[float, Interval(ge=0, le=0.5), doc("of the colour circle; 0 is none")] = 0.0
    saturation: Factor = 1.0
    exposure: Factor = 1.0


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """A dataset. `mean` and `std` are per channel in [0, 1]; null means measured on the training images.

    Of images of one's own, `side` makes squares of so many pixels, and `split` holds out a share of them as test part.
    """

    name: Name = field(metadata=CARRIED_OUT)
    title: str = field(metadata=CARRIED_OUT)
    path: Folder | None = field(default=None, metadata=CARRIED_OUT)
    side: Annotated[Side, doc("or null for the images as they are")] | None = None
    split: Annotated[float, Interval(gt=0, lt=1), doc("or null for the images in test/")] | None = None
    source: dict[str, Any] = field(  # what `side` and `split` say is a part of the identity there
        metadata={"carried_out_inside": ("root", "path", "cache", "download", "name", "title", "resize", "hold_out")}
    )
    mean: Annotated[list[float], Len(3, 3), doc("or null for measured ones")] | None = None
    std: Annotated[list[Positive], Len(3, 3), doc("or null for measured ones")] | None = None


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Length of training and optimiser."""

    name: str = field(metadata=CARRIED_OUT)
    epochs: Annotated[int, Interval(ge=1, le=100_000)]
    batch_size: Count
    learning_rate: Positive
    warmup_epochs: Annotated[float, Ge(0)]
    decay: Literal["cosine", "step", "polynomial"]
    decay_steps: list[Annotated[float, Interval(gt=0, lt=1)]]
    decay_factor: Positive
    decay_power: Positive
    momentum: Fraction
    nesterov: bool
    weight_decay: Annotated[float, Ge(0)]
    label_smoothing: Fraction


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Which images count; `subset` paper: of the test images, drawn per trial; `images` null: 60 %, as in the paper.

    `subset` heldout pools training and test images and holds some out of training, per trial; null: 10 %.
    """

    subset: SubsetMode
    images: Annotated[int, Interval(ge=1, le=10**9), doc("or null for the paper's share")] | None = None


@dataclass(frozen=True, kw_only=True)
class SpeedConfig:
    """What `task=speed` measures: batch sizes, the random images' shape, seconds for all `repeats` blocks of each."""

    train_batch: Annotated[int, Interval(ge=2, le=1_000_000), doc("because of BatchNorm")] = 128
    inference_batches: Annotated[list[Count], MinLen(1)] = field(default_factory=lambda: [1, 256])
    height: Side = 32
    classes: Annotated[int, Interval(ge=2, le=100_000)] = 10
    seconds_per_measurement: Annotated[float, Interval(gt=0, le=86400)] = 6.0
    repeats: Annotated[int, Interval(ge=1, le=10_000)] = 12


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything `python -m hybridsep.run` takes."""

    model: ModelConfig
    size: SizeConfig = field(metadata=CARRIED_OUT)  # resolved into model.network
    data: DataConfig
    augmentation: AugmentationConfig
    schedule: ScheduleConfig
    evaluation: EvaluationConfig = field(metadata=CARRIED_OUT)  # but heldout, which says what is trained on
    speed: SpeedConfig = field(metadata=CARRIED_OUT)
    overrides: list[str] = field(default_factory=list, metadata=CARRIED_OUT)  # what was typed, filled in by `resolve`
    experiment: Name = field(default="own", metadata=CARRIED_OUT)
    task: Literal["train", "speed"] = "train"
    trial: Annotated[Any, doc(TRIALS)] = field(metadata=CARRIED_OUT)  # a part of the identity of its own
    seed: int
    paired: bool
    match: Literal["none", "params"]
    precision: Precision
    study: StudyName = field(metadata=CARRIED_OUT)
    row: RowName = field(metadata=CARRIED_OUT)
    results: Folder = field(metadata=CARRIED_OUT)
    data_dir: Folder = field(metadata=CARRIED_OUT)
    device: Device = field(metadata=CARRIED_OUT)
    threads: Annotated[Threads, doc("or null for all cores")] | None = field(default=None, metadata=CARRIED_OUT)
    trials_at_once: Annotated[int, Interval(ge=1, le=256), doc("or null to let it be chosen")] | None = field(
        default=None, metadata=CARRIED_OUT
    )
    cuda_graph: bool = field(default=True, metadata=CARRIED_OUT)
    compile: bool = field(default=False, metadata=CARRIED_OUT)
    fast: Auto | bool = field(default="auto", metadata=CARRIED_OUT)
    fail_fast: bool = field(default=False, metadata=CARRIED_OUT)
    max_minutes: Annotated[float, Interval(gt=0, le=10**7), doc("or null for no limit")] | None = field(
        default=None, metadata=CARRIED_OUT
    )
