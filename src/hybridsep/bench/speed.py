"""`task=speed`: images per second and memory of one row, for section 5 of the paper.

The network, its initial weights, its number format and its training step are those of training. The images are random,
so no dataset is needed, and the learning rate is 0, so that nothing is timed on weights that ran off to infinity.
Inference goes from a normalised batch on the device to its logits, in evaluation mode. One network runs at a time, as
PyTorch launches it (eagerly; what compiling brings is for `bench throughput`). Blocks of training and of inference at
each batch size follow one another in rounds, so that a machine that slows down slows all of them.

Memory is the most bytes of tensors that exist at once during one step (`hybridsep.bench.memory`): parameters and
buffers, in training also momentum and gradients, the batch, and every activation and temporary; not the dataset.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from hybridsep.bench import output
from hybridsep.bench.contention import CpuContention
from hybridsep.bench.memory import step_bytes
from hybridsep.bench.timing import Workload, spread, time_in_rounds
from hybridsep.bench.variants import ours
from hybridsep.bench.workloads import RowWorkloads
from hybridsep.config import Config, plain
from hybridsep.config.schema import NumberFormat
from hybridsep.data import Dataset
from hybridsep.data.batches import evaluation_batches
from hybridsep.data.dataset import Part
from hybridsep.errors import ConfigError
from hybridsep.networks.cost import cost_of
from hybridsep.report import speed_records
from hybridsep.report.output import write_files
from hybridsep.report.speed_records import Cost, Rate, SpeedRecord, Timing
from hybridsep.report.table import byte_count, rate
from hybridsep.runs import record as record_format
from hybridsep.runs import seeds
from hybridsep.runs.progress import Monitor
from hybridsep.runs.stop import Stop, Stopped
from hybridsep.train import build, precision
from hybridsep.train.assembly import initial_network

_BATCHES_OF_DATA = 16  # an epoch of training
Kind = tuple[Literal["training", "inference"], int]  # and the images of a step
_MEAN, _STD = [0.5] * 3, [0.25] * 3
# The configuration that matters here.
_RECORDED = ("model", "size", "augmentation", "schedule", "match", "seed", "speed")


class Inference(Workload):
    """The network in evaluation mode on one normalised float32 batch (batch, 3, size, size), channels last."""

    def __init__(self, network: nn.Module, images: Tensor, number_format: NumberFormat):
        self.work = float(len(images))
        self._network, self._images, self._precision = network, images, number_format

    def ready(self) -> None:
        self._network.eval()

    @torch.inference_mode()
    def step(self) -> None:
        with precision.autocast(self._images.device, self._precision):
            self._network(self._images)


def measure(config: Config, *, monitor: Monitor, stop: Stop) -> bool:
    """Measure the row of a configuration; write `results/speed/<study>/<row>.json` in place of an earlier one.

    Returns False, with nothing written, when `stop` was due before the end. Raises ConfigError
    for what cannot be built or does not fit into the device's memory, RecordError when the file cannot be written.
    """
    device = precision.resolve_device(config.device)
    threads = precision.prepare(device, config.threads)
    decided, note = precision.resolve_precision(config.precision, device)
    settings = config.speed
    batch, side = settings.train_batch, config.augmentation.crop or settings.height
    config = build.matched(replace(config, precision=decided), classes=settings.classes, height=side, width=side)
    cost = cost_of(build.network_factory(config, classes=settings.classes)(), side, side)
    monitor.say(f"{config.row}: measuring speed on {device}{f' ({note})' if note else ''}")
    peaks: dict[Kind, int] = {}
    contention = CpuContention()
    seconds = settings.seconds_per_measurement / settings.repeats
    try:
        makers = _makers(config, device, decided)
        for key, make in makers.items():
            if stop.due():
                raise Stopped(stop.reason)
            peaks[key] = step_bytes(make, device)
        workloads = {key: make() for key, make in makers.items()}
        timed = time_in_rounds(workloads, device, seconds=seconds, rounds=settings.repeats, stop=stop.due)
    except torch.OutOfMemoryError:
        batches = f"speed.train_batch={batch} with inference_batches={settings.inference_batches}"
        raise ConfigError(f"{batches} is too large for the memory of {device} with row={config.row}") from None
    except Stopped:
        monitor.say(f"{config.row}: stopped ({stop.reason}), nothing written; the same command measures it anew")
        return False
    timings = []
    for key, peak in peaks.items():
        blocks = tuple(round(each, 3) for each in timed[key].rates)
        timings.append(Timing(*key, Rate(**asdict(spread(timed[key].rates)), blocks=blocks), peak))
    origin = output.Origin.here(str(device), threads)
    kept = {key: plain(config)[key] for key in _RECORDED}
    record = SpeedRecord(
        format=1,
        study=config.study,
        row=config.row,
        title=config.model.title,
        cost=Cost(cost.params, cost.macs),
        precision=decided,
        execution="eager",
        config=kept,
        settings=speed_records.settings(kept),
        machine=origin.machine,
        versions=origin.versions,
        measured=origin.measured,
        busy_elsewhere=contention.cores(),
        measurements=tuple(timings),
    )
    text = output.as_json({**record_format.as_json(record), "git": asdict(origin.git)})
    write_files(Path(config.results), {f"speed/{record.study}/{record.row}.json": text})
    rates = [(each, each.images_per_second) for each in timings]
    parts = [f"{each.what} {rate(of.median, of.iqr)} images/s (batch {each.batch})" for each, of in rates]
    most = byte_count(record.training.peak_bytes)
    monitor.end_trial(f"{config.row}: {', '.join(parts)}; peak {most}", trained=False)
    return True


def _makers(config: Config, device: torch.device, number_format: NumberFormat) -> dict[Kind, Callable[[], Workload]]:
    """Return what makes each workload, by what it does and its batch; each has a network of its own."""
    batch = config.speed.train_batch
    # The step is that of a training with this batch.
    config = replace(config, schedule=replace(config.schedule, batch_size=batch))
    row = RowWorkloads(config, _random_data(config), device, mean=_MEAN, std=_STD)
    variant = ours(bfloat16=number_format == "bfloat16", fast=device.type == "cpu")
    data, side = row.data, row.augmentation.size

    def inference(count: int) -> Workload:
        network, _ = initial_network(config, row.build, device=device, trial=0)
        batches = evaluation_batches(data.test_images[:count], count, size=side, mean=data.mean, std=data.std)
        return Inference(network, next(batches), number_format)

    makers: dict[Kind, Callable[[], Workload]] = {("training", batch): lambda: row.trial(variant)}
    for count in config.speed.inference_batches:
        makers["inference", count] = partial(inference, count)
    return makers


def _random_data(config: Config) -> Dataset:
    """Return random images of the configured shape: a few training batches, and one of the largest inference batch."""
    settings = config.speed
    draw = seeds.stream(config.seed, "speed")
    classes, shape = settings.classes, (settings.height, settings.height, 3)

    def part(count: int) -> Part:
        # Every class needs an image.
        count = max(count, classes)
        return Part(draw.integers(0, 256, (count, *shape), dtype=np.uint8), np.arange(count, dtype=np.int64) % classes)

    train, test = part(_BATCHES_OF_DATA * settings.train_batch), part(max(settings.inference_batches))
    names = tuple(f"class {number}" for number in range(classes))
    return Dataset("random", "random images", *train, *test, names)
