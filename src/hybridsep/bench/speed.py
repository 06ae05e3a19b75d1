"""`task=speed`: images per second and memory of one row, for section 5 of the paper.

The network, its initial weights, its number format and its training step are those of training. The images are random,
so no dataset is needed, and the learning rate is 0, so that nothing is timed on weights that ran off to infinity.
Inference goes from a normalised batch on the device to its logits, in evaluation mode. One network runs at a time, as
PyTorch launches it (eagerly). Blocks of training and of inference at each batch size follow one another in rounds, so
that a machine that slows down slows all of them.

Memory is the most bytes of tensors that exist at once during one step (`hybridsep.bench.memory`): parameters and
buffers, in training also momentum and gradients, the batch, and every activation and temporary; not the dataset.
"""

import datetime
import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from hybridsep.bench.contention import CpuContention
from hybridsep.bench.memory import held_bytes, peak_bytes
from hybridsep.bench.timing import seconds_of, spread, steps_lasting
from hybridsep.data import Dataset
from hybridsep.data.batches import EpochPlan, evaluation_batches
from hybridsep.errors import ConfigError, RecordError
from hybridsep.launch.progress import Monitor
from hybridsep.launch.stop import Stop
from hybridsep.modules.grouped import merge_groups
from hybridsep.networks.cost import Cost, cost_of
from hybridsep.networks.stochastic import give_generator
from hybridsep.runs import provenance, records, seeds
from hybridsep.train import build, precision
from hybridsep.train.optimiser import initialise, sgd
from hybridsep.train.sampler import AugmentationSampler
from hybridsep.train.step import DeviceData, TrainingStep

FORMAT = 1
_BATCHES_OF_DATA = 4
_MEAN, _STD = [0.5] * 3, [0.25] * 3
_RECORDED = (
    "model",
    "size",
    "augmentation",
    "schedule",
    "match",
    "seed",
    "speed",
)  # the configuration that matters here


class Workload(Protocol):
    """What is timed: `block(steps)` makes all ready and returns the call that does so many steps of `batch` images.

    `held` are the tensors that it keeps from step to step.
    """

    what: str
    batch: int

    def block(self, steps: int) -> Callable[[], None]: ...
    def held(self) -> Iterable[Tensor]: ...


class Training:
    """The step of `hybridsep.train.step`, at learning rate 0, over a few batches of `data` again and again."""

    what = "training"

    def __init__(self, network: nn.Module, data: DeviceData, config: dict[str, Any]):
        schedule, device = config["schedule"], data.train_images.device
        self.batch = config["speed"]["train_batch"]
        self._network, self._data = network, data
        self._optimiser = sgd(
            network,
            momentum=schedule["momentum"],
            nesterov=schedule["nesterov"],
            weight_decay=schedule["weight_decay"],
        )
        give_generator(network, torch.Generator(device).manual_seed(seeds.seed(config["seed"], "dropout", 0, 1)))
        plans = AugmentationSampler(
            config["augmentation"],
            count=len(data.train_images),
            height=data.test_images.shape[1],
            batch_size=self.batch,
            study_seed=config["seed"],
        )
        self._options = {
            **plans.constants,
            "label_smoothing": schedule["label_smoothing"],
            "precision": config["precision"],
        }
        self._plan = plans.plan(trial=0, epoch=1)

    def block(self, steps: int) -> Callable[[], None]:
        turns = [at % len(self._plan.order) for at in range(steps)]
        plan = EpochPlan(*(part[turns] for part in self._plan))
        step = TrainingStep(self._network, self._optimiser, self._data, plan, **self._options)
        step.begin_epoch(plan, np.zeros(steps, np.float32))
        self._optimiser.zero_grad(set_to_none=True)

        def run() -> None:
            for _ in range(steps):
                step()

        return run

    def held(self) -> Iterable[Tensor]:
        momentum = (state["momentum_buffer"] for state in self._optimiser.state.values() if "momentum_buffer" in state)
        return [*self._network.parameters(), *self._network.buffers(), *momentum]


class Inference:
    """The network in evaluation mode on one normalised float32 batch (batch, 3, size, size), channels last."""

    what = "inference"

    def __init__(self, network: nn.Module, data: DeviceData, batch: int, *, size: int, number_format: str):
        self.batch = batch
        self._network, self._precision = network, number_format
        images = data.test_images[:batch]
        self._images = next(evaluation_batches(images, batch, size=size, mean=data.mean, std=data.std))

    def block(self, steps: int) -> Callable[[], None]:
        self._network.eval()

        @torch.inference_mode()
        def run() -> None:
            for _ in range(steps):
                with precision.autocast(self._images.device, self._precision):
                    self._network(self._images)

        return run

    def held(self) -> Iterable[Tensor]:
        return [*self._network.parameters(), *self._network.buffers(), self._images]


def measure(config: dict[str, Any], *, monitor: Monitor, stop: Stop) -> dict[str, Any] | None:
    """Measure the row of a plain configuration; write `results/speed/<study>/<row>.json` in place of an earlier one.

    Returns what was written, or None, with nothing written, when `stop` was due before the end. Raises ConfigError
    for what cannot be built or does not fit into the device's memory, RecordError when the file cannot be written.
    """
    device = precision.resolve_device(config["device"])
    threads = precision.prepare(device, config["threads"])
    decided, note = precision.resolve_precision(config["precision"], device)
    if note:
        monitor.say(note)
    config = {**config, "precision": decided}
    settings = config["speed"]
    monitor.say(f"{config['row']}: measuring speed on {device}")
    try:
        config, cost, workloads = _make(config, device)
        seconds, repeats = settings["seconds_per_measurement"], settings["repeats"]
        elsewhere = CpuContention()
        measurements = time_in_rounds(workloads, device, seconds=seconds, repeats=repeats, stop=stop)
    except torch.OutOfMemoryError:
        batches = f"speed.train_batch={settings['train_batch']} with inference_batches={settings['inference_batches']}"
        raise ConfigError(f"{batches} is too large for the memory of {device} with row={config['row']}") from None
    if measurements is None:
        monitor.say(f"{config['row']}: stopped ({stop.reason}), nothing written; the same command measures it anew")
        return None
    record = {
        "format": FORMAT,
        "study": config["study"],
        "row": config["row"],
        "title": config["model"]["title"],
        "cost": {"params": cost.params, "macs": cost.macs},
        "precision": decided,
        "execution": "eager",
        "measurements": measurements,
        "busy_elsewhere": elsewhere.cores(),
        "config": {key: config[key] for key in _RECORDED},
        "machine": provenance.machine(str(device), threads),
        "versions": provenance.versions(),
        "git": provenance.git_state(),
        "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    _write(Path(config["results"]), record)
    monitor.end_trial(f"{config['row']}: {_summary(measurements)}", trained=False)
    return record


def _make(config: dict[str, Any], device: torch.device) -> tuple[dict[str, Any], Cost, list[Workload]]:
    """Return the configuration with its widths matched, the network's cost, and what is to be timed."""
    settings = config["speed"]
    height, classes = settings["height"], settings["classes"]
    size = config["augmentation"]["crop"] or height
    config = build.matched(config, classes=classes, height=size, width=size)
    network = build.network_factory(config, classes=classes)()
    cost = cost_of(network, size, size)
    initialise(network, study_seed=config["seed"], trial=0)
    network.to(device=device, memory_format=torch.channels_last)
    if device.type == "cpu":
        merge_groups(network)
    data = _random_data(config, device)
    inference = [
        Inference(network, data, batch, size=size, number_format=config["precision"])
        for batch in settings["inference_batches"]
    ]
    training = Training(network, data, config)
    return config, cost, [training, *inference]


def _random_data(config: dict[str, Any], device: torch.device) -> DeviceData:
    """Return random images of the configured shape: a few training batches, and one of the largest inference batch."""
    settings = config["speed"]
    draw = seeds.stream(config["seed"], "speed")
    classes, shape = settings["classes"], (settings["height"], settings["height"], 3)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        # Every class needs an image.
        count = max(count, classes)
        return draw.integers(0, 256, (count, *shape), dtype=np.uint8), np.arange(count, dtype=np.int64) % classes

    train, test = part(_BATCHES_OF_DATA * settings["train_batch"]), part(max(settings["inference_batches"]))
    names = tuple(f"class {number}" for number in range(classes))
    dataset = Dataset("random", "random images", *train, *test, names)
    return DeviceData.load(dataset, device, padding=config["augmentation"]["padding"], mean=_MEAN, std=_STD)


def time_in_rounds(
    workloads: list[Workload], device: torch.device, *, seconds: float, repeats: int, stop: Stop
) -> list[dict[str, Any]] | None:
    """Time `repeats` blocks of every workload, `seconds` for all blocks of one; return what the record says of each.

    A first step, a calibration and the count of memory come before, untimed. Returns None when `stop` was due.
    """
    steps, peaks = [], []
    for workload in workloads:
        if stop.due():
            return None
        seconds_of(workload.block(1), device)
        steps.append(steps_lasting(partial(_block_seconds, workload, device), seconds / repeats))
        run = workload.block(1)
        peaks.append(held_bytes(workload.held()) + peak_bytes(run, device))
    rates: list[list[float]] = [[] for _ in workloads]
    for _ in range(repeats):
        for workload, count, found in zip(workloads, steps, rates, strict=True):
            if stop.due():
                return None
            found.append(count * workload.batch / _block_seconds(workload, device, count))
    return [
        {
            "what": workload.what,
            "batch": workload.batch,
            "images_per_second": spread(found),
            "steps_per_block": count,
            "peak_bytes": peak,
        }
        for workload, count, peak, found in zip(workloads, steps, peaks, rates, strict=True)
    ]


def _block_seconds(workload: Workload, device: torch.device, steps: int) -> float:
    return seconds_of(workload.block(steps), device)


def _write(results: Path, record: dict[str, Any]) -> None:
    folder = results / "speed" / record["study"]
    text = json.dumps(record, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        records.write_atomically(folder / f"{record['row']}.json", f"{text}\n".encode(errors="backslashreplace"))
    except OSError as error:
        raise RecordError(f"results={results} cannot be written: {error}") from None


def _summary(measurements: list[dict[str, Any]]) -> str:
    parts = []
    for entry in measurements:
        rate = entry["images_per_second"]
        parts.append(
            f"{entry['what']} {rate['median']:,.0f} ± {rate['iqr'] / 2:,.0f} images/s (batch {entry['batch']})"
        )
    return f"{', '.join(parts)}; peak {measurements[0]['peak_bytes'] / 1e6:,.0f} MB"
