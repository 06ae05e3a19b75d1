"""`bench floor`: hours that each row of the paper's figures needs at least on a chip, on paper.

Between two ends: the floor, at which everything but convolutions is fused away (`need.py`), and the same step with
nothing fused, counted operation by operation (`traffic.py`), at the chip's full bandwidth and matrix rate. The
time that Python takes to launch the operations one by one stands beside it.
"""

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from hybridsep.bench import need, output, rows
from hybridsep.bench.ladder import Way, Workshop
from hybridsep.bench.settings import Chip, Settings
from hybridsep.bench.traffic import Moved, moved
from hybridsep.data import Dataset
from hybridsep.errors import ConfigError
from hybridsep.report.table import Column, Table, count, number
from hybridsep.train import precision
from hybridsep.train.step import DeviceData, evaluation_batch, logits_of

_OURS = Way("ours", data_on_device=True, channels_last=True, bfloat16=True, device_state=True)
_TRIAL_SECONDS = ("floor", "sum", "unfused", "launching")


def run(settings: Settings, *, command: str) -> None:
    """Count every row of the experiments, print the table and write it."""
    size = settings.size or "paper"
    threads = precision.prepare(torch.device("cpu"), settings.threads)
    lines = []
    for experiment in settings.floor.experiments:
        models, trials = rows.of_experiment(experiment)
        for model in models:
            words = [f"experiment={experiment}", f"model={model}", f"size={size}"]
            config = rows.compose([*words, f"schedule.batch_size={settings.batch}"])
            lines.append({"experiment": experiment, **line(config, trials=trials, settings=settings)})
            hours = [f"{lines[-1]['row_hours'][kind]:.2f}" for kind in ("floor", "unfused")]
            output.say(f"{experiment}, {config['row']}: {' to '.join(hours)} h for {trials} trials")
    record = {
        "command": command,
        "size": size,
        "batch": settings.batch,
        "chip": vars(settings.chip),
        "lines": lines,
        **output.origin("cpu", threads),
    }
    output.write(settings.results, f"floor-{size}", record, _tables(record))


def line(config: dict[str, Any], *, trials: int, settings: Settings) -> dict[str, Any]:
    """Return the needs of one row and its times on the chip: of a step (seconds), and of all trials (hours)."""
    batch, epochs, floor = config["schedule"]["batch_size"], config["schedule"]["epochs"], settings.floor
    at_once = evaluation_batch(torch.device("cuda"))
    # Two steps an epoch, so that the second one draws no plan.
    dataset = rows.dataset(train=max(10, 2 * batch), test=at_once)
    least = need.of(config, classes=len(dataset.classes), height=dataset.train_images.shape[1])
    training, evaluating = unfused(config, dataset)
    steps = floor.train_images // batch
    if steps == 0:
        raise ConfigError(f"batch={batch} is not allowed: at most floor.train_images={floor.train_images}")
    step = seconds(
        settings.chip,
        floor_bytes=least.training_bytes(batch),
        flops=least.training_flops(batch),
        real=training,
    )
    evaluation = seconds(
        settings.chip,
        floor_bytes=least.evaluation_bytes(at_once),
        flops=least.evaluation_flops(at_once),
        real=evaluating,
    )
    evaluations = floor.test_images / at_once
    trial = {kind: epochs * (steps * step[kind] + evaluations * evaluation[kind]) for kind in _TRIAL_SECONDS}
    moved_bytes = training.read + training.written
    return {
        "row": config["row"],
        "title": config["model"]["title"],
        "trials": trials,
        "epochs": epochs,
        "steps_per_epoch": steps,
        "per_image": {"activations": least.activations, "macs": least.macs},
        "params": least.params,
        "step_bytes": {
            "floor": least.training_bytes(batch),
            "unfused": moved_bytes,
        },
        "launches": training.launches,
        "step_seconds": step,
        "row_hours": {kind: trials * value / 3600 for kind, value in trial.items()},
    }


def seconds(chip: Chip, *, floor_bytes: int, flops: int, real: Moved) -> dict[str, float]:
    """Return the seconds of one step on the chip.

    floor: the larger of memory and matrix time; sum: both, one after the other; unfused: all that is moved when every
    operation reads and writes memory, and the matrix time; launching: the
    host's time to launch each operation.
    """
    moved_bytes = real.read + real.written
    memory, matrix = floor_bytes / chip.bytes_per_second, flops / chip.flops_per_second
    return {
        "memory": memory,
        "matrix": matrix,
        "floor": max(memory, matrix),
        "sum": memory + matrix,
        "unfused": moved_bytes / chip.bytes_per_second + matrix,
        "launching": real.launches * chip.seconds_per_launch,
    }


def unfused(config: dict[str, Any], dataset: Dataset) -> list[Moved]:
    """Return what a training step, and the evaluation of the dataset's test images, move when nothing is fused."""
    device, padding = torch.device("cpu"), config["augmentation"]["padding"]
    data = DeviceData.load(dataset, device, padding=padding, mean=None, std=None)
    workshop = Workshop(config, dataset, data, device, workers=0)
    loop = workshop.side(_OURS)
    network = loop.step.network

    def evaluate() -> None:
        logits_of(network, data, size=workshop.plans.size, precision="bfloat16", batch_size=len(data.test_images))

    # Fake tensors have shapes and no values: every operation of the step is called, none computes.
    with FakeTensorMode(allow_non_fake_inputs=True):
        loop.run(1)  # makes the momentum
        return [moved(call) for call in (lambda: loop.run(1), evaluate)]


def _tables(record: dict[str, Any]) -> list[Table]:
    chip = record["chip"]
    lines = []
    for experiment in dict.fromkeys(entry["experiment"] for entry in record["lines"]):
        own = [entry for entry in record["lines"] if entry["experiment"] == experiment]
        total = {kind: sum(entry["row_hours"][kind] for entry in own) for kind in _TRIAL_SECONDS}
        lines += [*own, {"experiment": experiment, "row": f"{experiment}, all rows", "row_hours": total}]

    def hours(kind: str) -> Any:
        return lambda entry: number(entry["row_hours"][kind])

    def milliseconds(kind: str) -> Any:
        return lambda entry: number(1e3 * entry["step_seconds"][kind], 3) if "step_seconds" in entry else ""

    def value(write: Any) -> Any:
        return lambda entry: write(entry) if "params" in entry else ""

    names = [
        Column("Experiment", lambda entry: entry["experiment"], wide=True, place="files"),
        Column("Row", lambda entry: entry["row"], wide=True),
    ]
    needs = [
        *names,
        Column("Params", value(lambda entry: count(entry["params"]))),
        Column("Activations", value(lambda entry: count(entry["per_image"]["activations"]))),
        Column("MACs", value(lambda entry: count(entry["per_image"]["macs"]))),
        Column("GB, floor", value(lambda entry: number(entry["step_bytes"]["floor"] / 1e9))),
        Column("GB, unfused", value(lambda entry: number(entry["step_bytes"]["unfused"] / 1e9))),
        Column("Launches", value(lambda entry: str(entry["launches"]))),
    ]
    times = [
        *names,
        Column("Memory, ms", milliseconds("memory")),
        Column("Matrix, ms", milliseconds("matrix")),
        Column("Launch, ms", milliseconds("launching")),
        Column("Floor, h", hours("floor")),
        Column("Sum, h", hours("sum")),
        Column("Unfused, h", hours("unfused")),
        Column("Launch, h", hours("launching")),
    ]
    example = record["lines"][0]
    work = (
        f"A row: {example['trials']} trials x {example['epochs']} epochs x {example['steps_per_epoch']} steps of "
        f"{record['batch']} images, and an evaluation of the test images after each epoch."
    )
    notes = (
        "Floor: every convolution's output written and read once forward, read once more backward, its gradient written"
        " and read once, 2 bytes each; 24 bytes a parameter; everything else fused away"
        " (src/hybridsep/bench/need.py). Matrix: 6 operations a MAC in training. Hours of a row: floor takes the"
        " larger of memory and matrix time, sum adds them.",
        "Unfused: what the operations of the actual step, as PyTorch calls them on a CPU, read and write one by one,"
        " plus the matrix time. What a captured graph reaches lies between sum and unfused where kernels run at the"
        " chip's rates, and above where they do not (depthwise and grouped convolutions).",
        f"Launch: operations of a step x {chip['seconds_per_launch'] * 1e6:g} us each, if Python launches them one by"
        " one; a captured graph takes that away.",
    )
    heading = (
        *output.head(record)[:1],
        f"Counted, not measured. {chip['name']}: {chip['bytes_per_second'] / 1e12:g} TB/s,"
        f" {chip['flops_per_second'] / 1e12:g} TFLOP/s in bfloat16. Size {record['size']}.",
        work,
    )
    needed = [entry for entry in lines if "params" in entry]
    return [
        Table("needs", "What one image and one training step need", needs, needed, (), heading=heading),
        Table("hours", f"Times on {chip['name']}", times, lines, (), notes=notes),
    ]
