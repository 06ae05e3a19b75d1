"""`make bench-roofline`: a roofline of each row of the paper's figures: the hours that it needs on a chip, on paper.

Between two ends: the floor, at which everything but convolutions is fused away (`Requirements`), and the same step with
nothing fused, counted operation by operation (`traffic`), at the chip's full bandwidth and matrix rate. The time that
Python takes to launch the operations one by one stands beside it.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hybridsep.bench import output, rows, variants
from hybridsep.bench.workloads import RowWorkloads
from hybridsep.config import Config
from hybridsep.data import Dataset
from hybridsep.networks.cost import cost_of
from hybridsep.report import table
from hybridsep.report.table import Column, Table, count, number
from hybridsep.train import build
from hybridsep.train.step import evaluation_batch, logits_of
from scripts.benchmarks import arguments

_BYTES = 2  # of a bfloat16 value
_PARAMETER_BYTES = 24

# Kernels that read an argument once more than once, by the argument's place: batch normalisation first sums, then
# normalises (forward: the input; backward: the gradient and the input); a convolution's backward pass reads the
# gradient for the input's gradient and again for the weight's.
_AGAIN = {
    "native_batch_norm": (0,),
    "_native_batch_norm_legit": (0,),
    "_batch_norm_with_update": (0,),
    "cudnn_batch_norm": (0,),
    "native_batch_norm_backward": (0, 1),
    "batch_norm_backward": (0, 1),
    "cudnn_batch_norm_backward": (0, 1),
    "convolution_backward": (0,),
}
_ONLY_WRITE = ("zero_", "fill_", "copy_", "bernoulli_", "normal_", "uniform_")
_SELECT = ("index_select", "index")  # read as much as they write, not all they are given
_PRODUCTS = ("convolution", "addmm", "mm", "bmm")


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

    def training_bytes(self, batch: int) -> int:
        """Bytes of one training step."""
        return batch * _BYTES * (5 * self.activations + 3 * self.images) + _PARAMETER_BYTES * self.params

    def training_flops(self, batch: int) -> int:
        """Operations of one training step."""
        return 6 * self.macs * batch

    def evaluation_bytes(self, batch: int) -> int:
        """Bytes of evaluating one batch."""
        return batch * _BYTES * 2 * (self.activations + self.images) + 4 * self.params

    def evaluation_flops(self, batch: int) -> int:
        """Operations of evaluating one batch."""
        return 2 * self.macs * batch


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


def requirements(config: Config, *, classes: int, height: int) -> Requirements:
    """Return those of the network of a configuration, for images of `height` pixels before the crop."""
    side = config.augmentation.crop or height
    # On "meta" only shapes are computed: nothing is allocated and nothing runs.
    with torch.device("meta"), torch.no_grad():
        network = build.network_factory(config, classes=classes)().eval()
        activations = traffic(lambda: network(torch.empty(1, 3, side, side))).products
    cost = cost_of(network, side, side)
    return Requirements(activations, 3 * side * side, cost.macs, cost.params)


@dataclass
class Traffic:
    """Bytes that operations read and write when nothing is fused: each reads its arguments and writes its results.

    Views move nothing. `launches` counts operations that move data; some launch more than one kernel. `products` counts
    the values that convolutions and matrix products put out.
    """

    read: int = 0
    written: int = 0
    launches: int = 0
    products: int = 0


def traffic(call: Callable[[], object]) -> Traffic:
    """Return what the operations of `call` move. It runs in this thread, on any device."""
    with _Counting() as counting:
        call()
    return counting.found


class _Counting(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.found = Traffic()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        schema = func._schema
        if _is_view(schema):
            return result
        name = schema.name.split("::")[1]
        written = _tensors(result)
        if name in _PRODUCTS:
            self.found.products += sum(tensor.numel() for tensor in written)
        places = {tensor.untyped_storage()._cdata for tensor in written}
        given = dict(zip((argument.name for argument in schema.arguments), args, strict=False)) | (kwargs or {})
        read = 0
        for place, argument in enumerate(each for each in schema.arguments if each.name in given):
            tensors = _tensors(given[argument.name])
            changed = argument.alias_info is not None and argument.alias_info.is_write
            if changed:
                written += [tensor for tensor in tensors if tensor.untyped_storage()._cdata not in places]
            if not (changed and name in _ONLY_WRITE):
                read += (2 if place in _AGAIN.get(name, ()) else 1) * sum(map(_bytes, tensors))
        put_out = sum(map(_bytes, written))
        if put_out:
            self.found.read += min(read, 2 * put_out) if name in _SELECT else read
            self.found.written += put_out
            self.found.launches += 1
        return result


def _is_view(schema: Any) -> bool:
    infos = [returned.alias_info for returned in schema.returns]
    return bool(infos) and all(info is not None and not info.is_write for info in infos)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _bytes(tensor: Tensor) -> int:
    """Return the bytes behind a tensor; one expanded from fewer values stands on those."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def main(words: Sequence[str] | None = None) -> None:
    """Count every row of the experiments, print the tables and write them. Raises ConfigError, RecordError."""
    parser = arguments.parser("Bytes and operations of each row, and hours on a chip, on paper.", models=False)
    parser.add_argument("--experiments", nargs="+", default=["figure4", "figure5", "figure6"])
    parser.add_argument("--size", default="paper", help="a file of conf/size")
    parser.add_argument("--batch", type=arguments.positive, default=128, help="images of a training step")
    parser.add_argument("--train-images", type=arguments.positive, default=50_000, help="of one epoch")
    parser.add_argument("--test-images", type=arguments.positive, default=10_000, help="evaluated after each epoch")
    parser.set_defaults(device="cpu")  # where it is counted; a GPU is left to others
    given = parser.parse_args(words)
    if given.train_images < given.batch:
        parser.error(f"--train-images {given.train_images} is not allowed: at least --batch {given.batch}")
    session = arguments.session(given, "scripts.benchmarks.roofline", words)
    lines: list[Line] = []
    for experiment in given.experiments:
        models, trials = rows.of_experiment(experiment)
        for model in models:
            overrides = [f"experiment={experiment}", f"model={model}", f"size={given.size}"]
            config = rows.compose([*overrides, f"schedule.batch_size={given.batch}"])
            images = {"train_images": given.train_images, "test_images": given.test_images}
            lines.append(line(config, experiment=experiment, trials=trials, **images))
            hours = lines[-1].chips[0].hours
            output.say(f"{experiment}, {config.row}: {hours.floor:.2f} to {hours.unfused:.2f} h for {trials} trials")
    found = {"size": given.size, "batch": given.batch, "chips": list(map(asdict, CHIPS))}
    # Counted, so the numbers are no machine's.
    tables = _tables(lines, session.command, size=given.size, batch=given.batch)
    session.write(
        f"floor-{given.size}", found | {"lines": list(map(asdict, lines))}, tables, timed=False, labelled=False
    )


def line(config: Config, *, experiment: str, trials: int, train_images: int, test_images: int) -> Line:
    """Return the needs of one row and its times on each of `CHIPS`."""
    batch, epochs = config.schedule.batch_size, config.schedule.epochs
    at_once = evaluation_batch(torch.device("cuda"))
    # Two steps an epoch, so that the second one draws no plan.
    dataset = rows.dataset(train=max(10, 2 * batch), test=at_once)
    least = requirements(config, classes=len(dataset.classes), height=dataset.train_images.shape[1])
    training, evaluating = unfused(config, dataset)
    steps, evaluations = train_images // batch, test_images / at_once
    chips = []
    for chip in CHIPS:
        step = seconds(chip, floor_bytes=least.training_bytes(batch), flops=least.training_flops(batch), real=training)
        evaluation = seconds(
            chip, floor_bytes=least.evaluation_bytes(at_once), flops=least.evaluation_flops(at_once), real=evaluating
        )
        hours = (step * steps + evaluation * evaluations) * (trials * epochs / 3600)
        chips.append(OnChip(chip.name, step, hours))
    return Line(
        experiment=experiment,
        row=config.row,
        title=config.model.title,
        trials=trials,
        epochs=epochs,
        steps_per_epoch=steps,
        params=least.params,
        activations=least.activations,
        macs=least.macs,
        floor_bytes=least.training_bytes(batch),
        unfused_bytes=training.read + training.written,
        launches=training.launches,
        chips=chips,
    )


def seconds(chip: Chip, *, floor_bytes: int, flops: int, real: Traffic) -> Times:
    """Return the seconds of one step on the chip."""
    memory, matrix = floor_bytes / chip.bytes_per_second, flops / chip.flops_per_second
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


def _giga(value: float) -> str:
    return number(value / 1e9)


def _milli(value: float | None) -> str:
    return "" if value is None else number(1e3 * value, 3)


def _tables(lines: Sequence[Line], command: str, *, size: str, batch: int) -> list[Table]:
    needs: list[Column[Line]] = [
        Column("Experiment", lambda line: line.experiment, wide=True, place="files"),
        Column("Row", lambda line: line.row, wide=True),
        Column("Params", lambda line: line.params, count),
        Column("Activations", lambda line: line.activations, count),
        Column("MACs", lambda line: line.macs, count),
        Column("GB, floor", lambda line: line.floor_bytes, _giga),
        Column("GB, unfused", lambda line: line.unfused_bytes, _giga),
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
        f"A row: {example.trials} trials x {example.epochs} epochs x {example.steps_per_epoch} steps of {batch} images,"
        f" and an evaluation of the test images after each epoch. Size {size}.",
    )
    title = "What one image and one training step need"
    times = [_times(lines, place, chip) for place, chip in enumerate(CHIPS)]
    return [table.build("needs", title, needs, lines, heading=heading), *times]


@dataclass(frozen=True)
class _RowOnChip:
    """A row on one chip, or all rows of an experiment, which have no step."""

    experiment: str
    row: str
    hours: Times
    step: Times | None = None


def _times(lines: Sequence[Line], place: int, chip: Chip) -> Table:
    rows_on_chip = []
    for experiment in dict.fromkeys(line.experiment for line in lines):
        on_chip = [(line.row, line.chips[place]) for line in lines if line.experiment == experiment]
        rows_on_chip += [_RowOnChip(experiment, row, each.hours, each.step) for row, each in on_chip]
        total = functools.reduce(Times.__add__, (each.hours for _, each in on_chip))
        rows_on_chip.append(_RowOnChip(experiment, f"{experiment}, all rows", total))
    columns: list[Column[_RowOnChip]] = [
        Column("Experiment", lambda line: line.experiment, wide=True, place="files"),
        Column("Row", lambda line: line.row, wide=True),
        Column("Memory, ms", lambda line: line.step.memory if line.step else None, _milli),
        Column("Matrix, ms", lambda line: line.step.matrix if line.step else None, _milli),
        Column("Launch, ms", lambda line: line.step.launching if line.step else None, _milli),
        Column("Floor, h", lambda line: line.hours.floor, number),
        Column("Sum, h", lambda line: line.hours.sum, number),
        Column("Unfused, h", lambda line: line.hours.unfused, number),
        Column("Launch, h", lambda line: line.hours.launching, number),
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
    name = chip.name.split()[-1].lower()
    return table.build(name, f"Times on {chip.name}", columns, rows_on_chip, notes=notes if last else ())


if __name__ == "__main__":
    arguments.finish(main)
