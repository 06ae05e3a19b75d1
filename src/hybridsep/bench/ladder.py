"""From the usual loop to ours, one switch at a time; every way trains the same network on the same task."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from hybridsep.bench import rows
from hybridsep.bench.memory import peak_bytes
from hybridsep.bench.rounds import Side
from hybridsep.bench.usual import Gathered, HostLoop, Loaded, plain_sgd
from hybridsep.data import Dataset
from hybridsep.data.batches import EpochPlan, gather
from hybridsep.modules.grouped import merge_groups
from hybridsep.train.concurrent import run_concurrently
from hybridsep.train.graph import TrialStream
from hybridsep.train.optimiser import sgd
from hybridsep.train.sampler import AugmentationSampler
from hybridsep.train.step import DeviceData, TrainingStep


@dataclass(frozen=True)
class Way:
    """One way to train: which switches are on. `missing` says what this machine lacks for it, or nothing."""

    name: str
    data_on_device: bool = False
    channels_last: bool = False
    bfloat16: bool = False
    device_state: bool = False  # fused optimiser, learning rates and counters on the device: `TrainingStep`
    kept: bool = False  # memory that a step frees stays in the process, which is the caller's affair
    merged: bool = False  # narrow groups of convolutions: `hybridsep.modules.grouped`
    graph: bool = False
    compiled: bool = False  # the whole network by `torch.compile`
    at_once: int = 1
    aside: bool = False  # tried beside the others; the ways after it do without
    missing: str = ""


def ladder(*, at_once: int, gpu: bool, bfloat16: bool, glibc: bool, grouped: bool, compiled: bool) -> list[Way]:
    """Return the ways, each with one switch more than the one before; a switch that this machine lacks stays off.

    `grouped`: the network has narrow groups, which our runs merge on a CPU, and on a GPU not before this shows it
    quicker. `compiled`: try torch.compile too.
    """
    merge = [("+ groups merged", {"merged": True}, "")] if grouped else []
    compile_ = [("torch.compile, aside", {"compiled": True, "aside": True}, "")] if compiled else []
    switches = (
        ("+ data on device", {"data_on_device": True}, ""),
        ("+ channels-last", {"channels_last": True}, ""),
        ("+ bfloat16", {"bfloat16": True}, "" if bfloat16 else "needs bfloat16 arithmetic"),
        ("+ fused SGD, device state", {"device_state": True}, ""),
        ("+ freed memory kept", {"kept": True}, "needs a CPU and glibc" if gpu or not glibc else ""),
        *([] if gpu else merge),
        ("+ CUDA graph", {"graph": True}, "" if gpu else "needs a GPU"),
        *compile_,
        (f"+ {at_once} trials at once", {"at_once": at_once}, ""),
        *(merge if gpu else []),
    )
    last = Way("usual loop")
    ways = [last]
    for name, switch, missing in switches:
        if missing:
            ways.append(replace(last, name=name, missing=missing))
        else:
            ways.append(replace(last, name=name, **switch))
            last = last if ways[-1].aside else ways[-1]
    return ways


class Workshop:
    """Makes the sides of one row: `config` is its plain configuration, `workers` are those of the usual loop.

    `learning_rate` 0 changes no weight but takes the same time, and nothing runs off to infinity.
    """

    def __init__(
        self,
        config: dict[str, Any],
        dataset: Dataset,
        data: DeviceData,
        device: torch.device,
        *,
        workers: int,
        learning_rate: float = 0.0,
    ):
        self._config, self._dataset, self._data, self._device = config, dataset, data, device
        self._workers, self._learning_rate = workers, learning_rate
        self.batch = config["schedule"]["batch_size"]
        self.plans = AugmentationSampler(
            config["augmentation"],
            count=len(data.train_images),
            height=data.test_images.shape[1],
            batch_size=self.batch,
            study_seed=config["seed"],
        )

    def side(self, way: Way) -> Side:
        """Return what does the steps of one way."""
        if not way.device_state:
            return self._host_loop(way)
        trials = [self._trial(way, trial) for trial in range(way.at_once)]
        return trials[0] if way.at_once == 1 else Beside(trials, self._device)

    def memory(self, way: Way) -> int:
        """Return the most bytes of tensors that exist at once from building a way's networks to its second block.

        Not counted: the dataset, and batches that the usual loop's workers hold. On a CPU one trial of several that run
        side by side is counted, and multiplied.
        """
        # What counts the tensors sees operations, and compiled ones are none.
        counted = replace(way, data_on_device=True, compiled=False)
        times = 1
        if way.at_once > 1 and self._device.type != "cuda":
            counted, times = replace(counted, at_once=1), way.at_once

        def work() -> None:
            side = self.side(counted)
            for _ in range(2):
                side.block(2)()
                side.end()

        return times * peak_bytes(work, self._device)

    def data_path(self, *, graph: bool) -> "DataPath":
        """Return the side that does nothing but gather our batches."""
        return DataPath(self._data, self.plans, self.batch, graph=graph)

    def _host_loop(self, way: Way) -> HostLoop:
        config, data = self._config, self._data
        network, _ = rows.network(
            config, self._device, classes=len(self._dataset.classes), channels_last=way.channels_last
        )
        if way.data_on_device:
            batches = Gathered(data, self.plans, trial=0, channels_last=way.channels_last)
        else:
            batches = Loaded(
                self._dataset.train_images,
                self._dataset.train_labels,
                self._device,
                batch=self.batch,
                workers=self._workers,
                padding=config["augmentation"]["padding"],
                mean=data.mean.tolist(),
                std=data.std.tolist(),
            )
        return HostLoop(
            network,
            plain_sgd(network, config["schedule"], learning_rate=self._learning_rate),
            batches,
            self._device,
            batch=self.batch,
            precision="bfloat16" if way.bfloat16 else "float32",
            label_smoothing=config["schedule"]["label_smoothing"],
        )

    def _trial(self, way: Way, trial: int) -> "DeviceLoop":
        config, schedule = self._config, self._config["schedule"]
        network, generator = rows.network(config, self._device, classes=len(self._dataset.classes), trial=trial)
        if way.merged:
            merge_groups(network)
        optimiser = sgd(
            network,
            momentum=schedule["momentum"],
            nesterov=schedule["nesterov"],
            weight_decay=schedule["weight_decay"],
        )
        step = TrainingStep(
            torch.compile(network) if way.compiled else network,
            optimiser,
            self._data,
            self.plans.plan(trial=trial, epoch=1),
            **self.plans.constants,
            label_smoothing=schedule["label_smoothing"],
            precision="bfloat16" if way.bfloat16 else "float32",
        )
        lane = TrialStream(self._device, cuda_graph=way.graph)
        return DeviceLoop(step, lane, generator, self.plans, trial=trial, learning_rate=self._learning_rate)


class DeviceLoop:
    """Our loop: the steps of one trial, epoch after epoch, in its lane; an epoch's plan is drawn when it begins."""

    def __init__(
        self,
        step: TrainingStep,
        lane: TrialStream,
        generator: torch.Generator,
        plans: AugmentationSampler,
        *,
        trial: int,
        learning_rate: float,
    ):
        self.work = float(step.batch_size)
        self.step, self._lane, self._plans, self._trial = step, lane, plans, trial
        self._advance = lane.stepper(step, generator=generator)
        self._rates = np.full(step.steps, learning_rate, np.float32)
        self._epoch, self._at = 0, step.steps

    def block(self, steps: int) -> Callable[[], None]:
        if self.step.losses.is_cuda:
            torch.use_deterministic_algorithms(True)
        return lambda: self.run(steps)

    def run(self, steps: int) -> None:
        """Do so many steps and wait for them."""
        with self._lane as lane:
            for _ in range(steps):
                if self._at == self.step.steps:
                    self._epoch, self._at = self._epoch + 1, 0
                    with lane.eager():
                        plan = self._plans.plan(trial=self._trial, epoch=self._epoch)
                        self.step.begin_epoch(plan, self._rates)
                self._advance()
                self._at += 1
            lane.wait()

    def end(self) -> None:
        pass


class Beside:
    """Several trials, each with a thread of its own; on a CPU they share out its cores."""

    def __init__(self, trials: list[DeviceLoop], device: torch.device):
        self.work = sum(trial.work for trial in trials)
        self._trials, self._device = trials, device

    def block(self, steps: int) -> Callable[[], None]:
        self._threads = torch.get_num_threads()
        if self._device.type == "cpu":
            # Every new thread takes this number over.
            torch.set_num_threads(max(1, self._threads // len(self._trials)))
        for trial in self._trials:
            trial.block(steps)
        return lambda: run_concurrently(self._trials, lambda trial: trial.run(steps), at_once=len(self._trials))

    def end(self) -> None:
        torch.set_num_threads(self._threads)


class DataPath:
    """The part of our step that makes a batch: draws, pixels, labels. With `graph` it is captured and replayed."""

    def __init__(self, data: DeviceData, plans: AugmentationSampler, batch: int, *, graph: bool):
        self.work = float(batch)
        self._data, self._constants, self._graph = data, plans.constants, None
        device = data.train_images.device
        self._plan = EpochPlan(*(part.to(device) for part in plans.plan(trial=0, epoch=1)))
        self._counter = torch.zeros(1, dtype=torch.int64, device=device)
        if graph:
            self._gather()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._gather()

    def _gather(self) -> None:
        data = self._data
        index, *augmentation = (part.index_select(0, self._counter)[0] for part in self._plan)
        gather(data.train_images, index, *augmentation, mean=data.mean, std=data.std, **self._constants)
        data.train_labels.index_select(0, index)
        self._counter += 1
        self._counter %= len(self._plan.order)

    def block(self, steps: int) -> Callable[[], None]:
        one = self._graph.replay if self._graph is not None else self._gather

        def run() -> None:
            for _ in range(steps):
                one()

        return run

    def end(self) -> None:
        pass


@contextmanager
def own_determinism() -> Iterator[None]:
    """Give torch's switch for deterministic kernels back as it was: the usual loop turns it off, ours on."""
    before = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
