"""`make bench-numerics`: what bfloat16 autocast changes against float32, per module, on the same weights and batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from hybridsep.bench import output, rows, variants
from hybridsep.bench.workloads import RowWorkloads, TrialLoop
from hybridsep.config import Config
from hybridsep.config.schema import NumberFormat
from hybridsep.data import Dataset
from hybridsep.data.batches import normalise
from hybridsep.report.table import Column, Table, build, number, thousandths
from hybridsep.train import precision
from hybridsep.train.step import DeviceData
from scripts.benchmarks import arguments

_NUDGE = 1e-6  # relative change of every initial weight in a third training, for comparison
_LAST = 10  # steps whose mean loss tells where a short training has arrived


@dataclass(frozen=True)
class Difference:
    """What bfloat16 changes in one training step of a network.

    `logits`: |bfloat16 - float32| / |float32|; `loss`: the same, of the scalar; `gradient_norm`: ratio of the norms;
    `gradient_cosine`: of all gradients as one vector; `other_batch`: the same between two batches in float32, the size
    of the noise that SGD lives with.
    """

    logits: float
    loss: float
    gradient_norm: float
    gradient_cosine: float
    other_batch: float


@dataclass(frozen=True)
class Row:
    """Differences with the initial weights and after a short training in float32, and where short trainings end.

    Of that training, the same one in bfloat16, and one in float32 whose initial weights were nudged by about 1e-6 of
    themselves: the `loss` at the end, and the `distance` of the last two's weights from the first's, by the distance
    that these came. Training magnifies any difference: what bfloat16 changes is to be held against what a nudge does.
    """

    row: str
    title: str
    initial: Difference
    trained: Difference
    loss: dict[str, float]
    distance: dict[str, float]


@dataclass(frozen=True)
class Numerics:
    """All that was measured."""

    size: str
    batch: int
    steps: int
    learning_rate: float
    native: bool  # bfloat16 on the device
    rows: list[Row]


def main(words: Sequence[str] | None = None) -> None:
    """Measure every model, print the table and write it. Raises ConfigError, RecordError."""
    parser = arguments.parser("What bfloat16 autocast changes against float32, per module.")
    parser.add_argument("--steps", type=arguments.positive, default=100, help="of the short training")
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--images", type=arguments.positive, default=2048, help="of training; at least two batches")
    options = parser.parse_args(words)
    if options.images < 2 * options.batch:
        parser.error(f"--images {options.images} is too few: at least two batches of --batch {options.batch}")
    session = arguments.session(options, "scripts.benchmarks.numerics", words)
    configs, device = rows.of_models(options.models, size=options.size, batch=options.batch), session.device
    dataset = rows.dataset(train=options.images)
    numerics = Numerics(options.size, options.batch, options.steps, options.learning_rate, session.bfloat16, [])
    for config in configs:
        row = measure(config, dataset, device, steps=options.steps, learning_rate=options.learning_rate)
        numerics.rows.append(row)
        cosine = row.trained.gradient_cosine
        output.say(f"{config.row}: cosine of the gradients after {options.steps} steps {cosine:.5f}")
    # Numbers of this kind differ little from device to device, but they do.
    labelled = device.type != "cpu" or options.label is not None
    session.write(f"numerics-{options.size}", numerics, _tables(numerics), timed=False, labelled=labelled)


def measure(config: Config, dataset: Dataset, device: torch.device, *, steps: int, learning_rate: float) -> Row:
    """Return what bfloat16 changes in one network."""
    workloads = RowWorkloads(config, dataset, device, learning_rate=learning_rate)
    # As on a GPU, also here: modules as they are drawn, so that the number format is all that differs.
    loops = {
        name: workloads.trial(variants.ours(bfloat16=name == "bfloat16", fast=False))
        for name in ("float32", "bfloat16", "nudged")
    }
    networks = {name: loop.training.network for name, loop in loops.items()}
    nudge(networks["nudged"])
    start = parameters(networks["float32"])
    initial = compare(networks["float32"], workloads.data, workloads.batch)
    losses = {name: train(loop, steps) for name, loop in loops.items()}
    ends = {name: parameters(network) for name, network in networks.items()}
    trained = compare(networks["float32"], workloads.data, workloads.batch)
    way = (ends["float32"] - start).norm()
    distances = {name: float((ends[name] - ends["float32"]).norm() / way) for name in ("bfloat16", "nudged")}
    return Row(config.row, config.model.title, initial, trained, losses, distances)


@torch.no_grad()
def nudge(network: nn.Module) -> None:
    """Change every parameter by a normal draw times 1e-6 of itself, in place."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        drawn = torch.empty(parameter.shape).normal_(generator=generator)
        parameter.mul_(1 + _NUDGE * drawn.to(parameter.device))


def train(loop: TrialLoop, steps: int) -> float:
    """Train so many steps and return the mean loss of the last ten."""
    losses: list[float] = []
    while len(losses) < steps:
        part = min(steps - len(losses), loop.steps)
        loop.run(part)
        losses += loop.training.step.losses[:part].tolist()
    return float(np.mean(losses[-_LAST:]))


def compare(network: nn.Module, data: DeviceData, batch: int) -> Difference:
    """Return what bfloat16 changes for a network on its first training batch; its BatchNorm statistics stay."""
    logits, loss, gradient = outcome(network, data, batch, first=0, number_format="float32")
    logits16, loss16, gradient16 = outcome(network, data, batch, first=0, number_format="bfloat16")
    _, _, other = outcome(network, data, batch, first=batch, number_format="float32")
    return Difference(
        float((logits16 - logits).norm() / logits.norm()),
        abs(loss16 - loss) / loss,
        float(gradient16.norm() / gradient.norm()),
        float(functional.cosine_similarity(gradient16, gradient, dim=0)),
        float(functional.cosine_similarity(other, gradient, dim=0)),
    )


def outcome(
    network: nn.Module, data: DeviceData, batch: int, *, first: int, number_format: NumberFormat
) -> tuple[Tensor, float, Tensor]:
    """Return logits, mean loss and gradient (one vector, float64) of the images from `first` on, in training mode."""
    side = data.test_images.shape[1]
    edge = (data.train_images.shape[1] - side) // 2
    pixels = data.train_images[first : first + batch, edge : edge + side, edge : edge + side]
    images, labels = normalise(pixels, mean=data.mean, std=data.std), data.train_labels[first : first + batch]
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    network.train()
    with precision.autocast(images.device, number_format):
        logits = functional_call(network, buffers, (images,)).float()
    loss = functional.cross_entropy(logits, labels)
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    return logits.detach(), float(loss.detach()), torch.cat([part.double().flatten() for part in gradients])


def parameters(network: nn.Module) -> Tensor:
    """Return all parameters as one float64 vector, a copy."""
    return torch.cat([parameter.detach().double().flatten() for parameter in network.parameters()])


def _tables(numerics: Numerics) -> list[Table]:
    lines = [
        (row.row, when, difference)
        for row in numerics.rows
        for when, difference in (("at the start", row.initial), (f"after {numerics.steps} steps", row.trained))
    ]
    columns: list[Column[tuple[str, str, Difference]]] = [
        Column("Row", lambda line: line[0], wide=True),
        Column("Weights", lambda line: line[1], wide=True),
        Column("Logits", lambda line: line[2].logits, "{:.1e}".format),
        Column("Loss", lambda line: line[2].loss, "{:.1e}".format),
        Column("Norm", lambda line: line[2].gradient_norm, "{:.4f}".format),
        Column("Cosine", lambda line: line[2].gradient_cosine, "{:.5f}".format),
        Column("Other batch", lambda line: line[2].other_batch, "{:.3f}".format),
    ]
    notes = [
        "The same weights and the same batch in float32 and under bfloat16 autocast (weights, BatchNorm's statistics"
        " and the loss stay in float32), in training mode. Logits and loss: relative difference. Norm: of the gradient,"
        " bfloat16 by float32. Cosine: between the two gradients. Other batch: the cosine between the gradients of two"
        f" batches, both in float32, for comparison. The {numerics.steps} steps were in float32.",
    ]
    ends: list[Column[Row]] = [
        Column("Row", lambda row: row.row, wide=True),
        Column("Loss, float32", lambda row: row.loss["float32"], thousandths),
        Column("Loss, nudged", lambda row: row.loss["nudged"], thousandths),
        Column("Loss, bfloat16", lambda row: row.loss["bfloat16"], thousandths),
        Column("Distance, nudged", lambda row: row.distance["nudged"], number),
        Column("Distance, bfloat16", lambda row: row.distance["bfloat16"], number),
    ]
    note = (
        f"{numerics.steps} steps at learning rate {numerics.learning_rate:g} from the same start on the same batches,"
        f" one training each. Nudged: in float32, every initial weight changed by about {_NUDGE:g} of itself, because"
        f" training magnifies any difference. Loss: mean of the last {_LAST} training steps. Distance: between the"
        " weights at the end and those of float32, by the distance that these came from the start."
    )
    return [
        build("numerics", "What bfloat16 changes", columns, lines, notes=notes),
        build("trained", "A short training in either format", ends, numerics.rows, notes=[note]),
    ]


if __name__ == "__main__":
    arguments.finish(main)
