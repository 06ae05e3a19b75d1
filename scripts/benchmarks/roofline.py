"""`make bench-roofline`: a roofline of each row of the paper's figures: the hours that it needs on a chip, on paper.

Between two ends: the floor, at which everything but convolutions is fused away (`Requirements`), and the same step with
nothing fused, counted operation by operation (`traffic`), at the chip's full bandwidth and matrix rate. The time that
Python takes to launch the operations one by one stands beside it.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import torch
from omegaconf import OmegaConf
from torch._subclasses.fake_tensor import FakeTensorMode

from hybridsep import config as configuration
from hybridsep.bench import output, rows, variants
from hybridsep.bench.workloads import RowWorkloads
from hybridsep.config import Config
from hybridsep.data import Dataset
from hybridsep.errors import ConfigError
from hybridsep.networks.cost import cost_of
from hybridsep.report import table
from hybridsep.report.table import Column, Table, count, number, thousandths
from hybridsep.train import build
from hybridsep.train.step import evaluation_batch, logits_of
from scripts.benchmarks import arguments
from scripts.benchmarks.traffic import Traffic, traffic

_BYTES = 2  # of a bfloat16 value
_PARAMETER_BYTES = 24


@dataclass(frozen=True)
class Chip:
    """Figures of a chip: memory bandwidth, dense bfloat16 matrix rate, and the host's time for one kernel launch."""

    name: str
    bytes_per_second: float
    flops_per_second: float
    seconds_per_launch: float = 5.0e-6  # of a kernel launched from Python, a usual value


# NVIDIA's data sheets of the SXM cards: 1,979 TFLOP/s in bfloat16 with sparsity, half of it dense.
CHIPS = (
    Chip("NVIDIA H200", bytes_per_second=4.8e12, flops_per_second=9.89e14),
    Chip("NVIDIA H100", bytes_per_second=3.35e12, flops_per_second=9.89e14),
)


@dataclass(frozen=True)
class Requirements:
    """What a network needs at least, of one image: values of `activations` and of the `images`, `macs`; its `params`.

    Every activation is written once and read once on the way forward, read once more on the way back, and its gradient
    is written once and read once; two bytes a value (bfloat16). An activation is the output of a convolution or of the
    last linear layer. Normalisation, nonlinearity, pooling, addition, concatenation and the cast are taken to happen
    inside the convolutions that write and read these, so they move nothing. The image batch counts as an activation
    without a gradient. Every parameter moves 24 bytes a step: weight, gradient and momentum in float32, each read and
    written. Evaluation writes and reads every activation once. Matrix work is 2 operations for each
    multiply-accumulate, three times in training (output, gradient of the input, gradient of the weight), all at the
    matrix units' rate. No step can be faster than the larger of the two times on such a plan; one that does not overlap
    them takes their sum.
    """

    activations: int
    images: int
    macs: int
    params: int

    def training(self, batch: int) -> tuple[int, int]:
        """Bytes and operations of one training step."""
        moved = batch * _BYTES * (5 * self.activations + 3 * self.images) + _PARAMETER_BYTES * self.params
        return moved, 6 * self.macs * batch

    def evaluation(self, batch: int) -> tuple[int, int]:
        """Bytes and operations of evaluating one batch."""
        moved = batch * _BYTES * 2 * (self.activations + self.images) + 4 * self.params
        return moved, 2 * self.macs * batch


@dataclass(frozen=True)
class Times:
    """Times of some work on a chip.

    floor: the larger of memory and matrix time; sum: both, one after the other; unfused: all that is moved when every
    operation reads and writes memory, and the matrix time; launching: the host's time to launch each operation.
    """

    memory: float
    matrix: float
    floor: float
    sum: float
    unfused: float
    launching: float

    def __add__(self, other: "Times") -> "Times":
        return Times(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, factor: float) -> "Times":
        return Times(*(value * factor for value in astuple(self)))


@dataclass(frozen=True)
class OnChip:
    """Seconds of a `step` on a chip, and `hours` of all trials of a row."""

    name: str
    step: Times
    hours: Times


@dataclass(frozen=True)
class Line:
    """What one row needs: of an image activations and MACs, of a step bytes and launches, and its times."""

    experiment: str
    row: str
    title: str
    trials: int
    epochs: int
    steps_per_epoch: int
    params: int
    activations: int
    macs: int
    floor_bytes: int
    unfused_bytes: int
    launches: int
    chips: list[OnChip]


@dataclass(frozen=True)
class Roofline:
    """All that was counted."""

    size: str
    batch: int
    lines: list[Line]
    chips: tuple[Chip, ...] = CHIPS


def requirements(config: Config, *, classes: int, height: int) -> Requirements:
    """Return those of the network of a configuration, for images of `height` pixels before the crop."""
    side = config.augmentation.crop or height
    # On "meta" only shapes are computed: nothing is allocated and nothing runs.
    with torch.device("meta"), torch.no_grad():
        network = build.network_factory(config, classes=classes)().eval()
        activations = traffic(lambda: network(torch.empty(1, 3, side, side))).products
    cost = cost_of(network, side, side)
    return Requirements(activations, 3 * side * side, cost.macs, cost.params)


def main(words: Sequence[str] | None = None) -> None:
    """Count every row of the experiments, print the tables and write them. Raises ConfigError, RecordError."""
    parser = arguments.parser("Bytes and operations of each row, and hours on a chip, on paper.", models=False)
    parser.add_argument("--experiments", nargs="+", default=["figure4", "figure5", "figure6"])
    parser.add_argument("--size", default="paper", help="a file of conf/size")
    parser.add_argument("--batch", type=arguments.positive, default=128, help="images of a training step")
    parser.add_argument("--train-images", type=arguments.positive, default=50_000, help="of one epoch")
    parser.add_argument("--test-images", type=arguments.positive, default=10_000, help="evaluated after each epoch")
    parser.set_defaults(device="cpu")  # where it is counted; a GPU is left to others
    options = parser.parse_args(words)
    if options.train_images < options.batch:
        parser.error(f"--train-images {options.train_images} is not allowed: at least --batch {options.batch}")
    session = arguments.session(options, "scripts.benchmarks.roofline", words)
    lines: list[Line] = []
    for experiment in options.experiments:
        models, trials = of_experiment(experiment)
        for model in models:
            overrides = [f"experiment={experiment}", f"model={model}", f"size={options.size}"]
            config = rows.compose([*overrides, f"schedule.batch_size={options.batch}"])
            images = {"train_images": options.train_images, "test_images": options.test_images}
            lines.append(line(config, experiment=experiment, trials=trials, **images))
            hours = lines[-1].chips[0].hours
            output.say(f"{experiment}, {config.row}: {hours.floor:.2f} to {hours.unfused:.2f} h for {trials} trials")
    roofline = Roofline(options.size, options.batch, lines)
    # Counted, so the numbers are no machine's.
    tables = _tables(roofline, session.command)
    session.write(f"floor-{options.size}", roofline, tables, timed=False, labelled=False)


def of_experiment(experiment: str) -> tuple[list[str], int]:
    """Return `(rows, trials of each)` that an experiment's file sweeps over. Raises ConfigError."""
    path = configuration.config_dir() / "experiment" / f"{experiment}.yaml"
    swept: Any = path.is_file() and OmegaConf.select(OmegaConf.load(path), "hydra.sweeper.params") or {}
    if "model" not in swept:
        raise ConfigError(f"experiment={experiment} is not allowed: it names no models; figure4 does")
    return str(swept["model"]).split(","), len(configuration.parse_trials(swept.get("trial", 0)))


def line(config: Config, *, experiment: str, trials: int, train_images: int, test_images: int) -> Line:
    """Return the needs of one row and its times on each of `CHIPS`."""
    batch, epochs = config.schedule.batch_size, config.schedule.epochs
    at_once = evaluation_batch(torch.device("cuda"))
    # Two steps an epoch, so that the second one draws no plan.
    dataset = rows.dataset(train=max(10, 2 * batch), test=at_once)
    needs = requirements(config, classes=len(dataset.classes), height=dataset.train_images.shape[1])
    training, evaluating = unfused(config, dataset)
    steps, evaluations = train_images // batch, test_images / at_once
    chips = []
    for chip in CHIPS:
        step, evaluation = (
            seconds(chip, needs.training(batch), training),
            seconds(chip, needs.evaluation(at_once), evaluating),
        )
        hours = (step * steps + evaluation * evaluations) * (trials * epochs / 3600)
        chips.append(OnChip(chip.name, step, hours))
    return Line(
        experiment,
        config.row,
        config.model.title,
        trials,
        epochs,
        steps,
        needs.params,
        needs.activations,
        needs.macs,
        needs.training(batch)[0],
        training.read + training.written,
        training.launches,
        chips,
    )


def seconds(chip: Chip, needs: tuple[int, int], real: Traffic) -> Times:
    """Return the seconds of one step on the chip that needs so many bytes and operations, and moves `real`."""
    memory, matrix = needs[0] / chip.bytes_per_second, needs[1] / chip.flops_per_second
    return Times(
        memory=memory,
        matrix=matrix,
        floor=max(memory, matrix),
        sum=memory + matrix,
        unfused=(real.read + real.written) / chip.bytes_per_second + matrix,
        launching=real.launches * chip.seconds_per_launch,
    )


def unfused(config: Config, dataset: Dataset) -> list[Traffic]:
    """Return what a training step, and the evaluation of the dataset's test images, move when nothing is fused."""
    workloads = RowWorkloads(config, dataset, torch.device("cpu"))
    loop = workloads.trial(variants.ours(bfloat16=True, fast=False))
    data, side = workloads.data, workloads.augmentation.size

    def evaluate() -> None:
        logits_of(loop.training.network, data, size=side, precision="bfloat16", batch_size=len(data.test_images))

    # Fake tensors have shapes and no values: every operation of the step is called, none computes.
    with FakeTensorMode(allow_non_fake_inputs=True):
        loop.run(1)  # makes the momentum
        return [traffic(call) for call in (lambda: loop.run(1), evaluate)]


def _tables(roofline: Roofline, command: str) -> list[Table]:
    lines = roofline.lines
    needs: list[Column[Line]] = [
        Column("Experiment", lambda line: line.experiment, wide=True, place="files"),
        Column("Row", lambda line: line.row, wide=True),
        Column("Params", lambda line: line.params, count),
        Column("Activations", lambda line: line.activations, count),
        Column("MACs", lambda line: line.macs, count),
        Column("GB, floor", lambda line: line.floor_bytes / 1e9, number),
        Column("GB, unfused", lambda line: line.unfused_bytes / 1e9, number),
        Column("Launches", lambda line: line.launches),
    ]
    example = lines[0]
    heading = (
        f"`{command}`",
        "Bytes, operations and launches are counted; bandwidth and matrix rate are of data sheets; none is measured.",
        *(
            f"{chip.name}: {chip.bytes_per_second / 1e12:g} TB/s, {chip.flops_per_second / 1e12:g} TFLOP/s in bfloat16."
            for chip in CHIPS
        ),
        f"A row: {example.trials} trials x {example.epochs} epochs x {example.steps_per_epoch} steps of"
        f" {roofline.batch} images, and an evaluation of the test images after each epoch. Size {roofline.size}.",
    )
    title = "What one image and one training step need"
    times = [_times(lines, place, chip) for place, chip in enumerate(CHIPS)]
    return [table.build("needs", title, needs, lines, heading=heading), *times]


@dataclass(frozen=True)
class _Time:
    """Times of a row of an experiment on a chip, or of all its rows."""

    experiment: str
    row: str
    step: Times | None
    hours: Times


def _times(lines: Sequence[Line], place: int, chip: Chip) -> Table:
    times: list[_Time] = []
    for experiment in dict.fromkeys(line.experiment for line in lines):
        rows_of_it = [line for line in lines if line.experiment == experiment]
        on_chip = [line.chips[place] for line in rows_of_it]
        for line, here in zip(rows_of_it, on_chip, strict=True):
            times.append(_Time(experiment, line.row, here.step, here.hours))
        total = functools.reduce(Times.__add__, (here.hours for here in on_chip))
        times.append(_Time(experiment, f"{experiment}, all rows", None, total))

    def milliseconds(part: Callable[[Times], float]) -> Callable[[_Time], str]:
        return lambda time: thousandths(1e3 * part(time.step)) if time.step else ""

    columns: list[Column[_Time]] = [
        Column("Experiment", lambda time: time.experiment, wide=True, place="files"),
        Column("Row", lambda time: time.row, wide=True),
        Column("Memory, ms", milliseconds(lambda step: step.memory)),
        Column("Matrix, ms", milliseconds(lambda step: step.matrix)),
        Column("Launch, ms", milliseconds(lambda step: step.launching)),
        Column("Floor, h", lambda time: time.hours.floor, number),
        Column("Sum, h", lambda time: time.hours.sum, number),
        Column("Unfused, h", lambda time: time.hours.unfused, number),
        Column("Launch, h", lambda time: time.hours.launching, number),
    ]
    notes = (
        "Floor: every convolution's output written and read once forward, read once more backward, its gradient written"
        " and read once, 2 bytes each; 24 bytes a parameter; everything else fused away"
        " (scripts/benchmarks/roofline.py). Matrix: 6 operations a MAC in training. Hours of a row: floor takes the"
        " larger of memory and matrix time, sum adds them.",
        "Unfused: what the operations of the actual step, as PyTorch calls them on a CPU, read and write one by one,"
        " plus the matrix time. What a captured graph reaches lies between sum and unfused where kernels run at the"
        " chip's rates, and above where they do not (depthwise and grouped convolutions).",
        f"Launch: operations of a step x {chip.seconds_per_launch * 1e6:g} us each, if Python launches them one by"
        " one; a captured graph takes that away.",
    )
    last = place == len(CHIPS) - 1
    return table.build(
        chip.name.split()[-1].lower(), f"Times on {chip.name}", columns, times, notes=notes if last else ()
    )


if __name__ == "__main__":
    arguments.finish(main)
