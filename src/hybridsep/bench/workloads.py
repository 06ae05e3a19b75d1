"""What is timed of one row: the reference loop, our loop in each variant, several trials at once, the data path."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from hybridsep.bench.memory import step_bytes
from hybridsep.bench.reference_loop import Batches, ReferenceLoop, device_batches, loader_batches, plain_sgd
from hybridsep.bench.timing import Repeated, Workload
from hybridsep.bench.variants import Variant
from hybridsep.config import Config
from hybridsep.data import Dataset
from hybridsep.data.augmentation import Augmentation
from hybridsep.errors import ConfigError
from hybridsep.modules.fast import has_fast
from hybridsep.train import build, compiling
from hybridsep.train.assembly import Training, assemble, initial_network
from hybridsep.train.concurrent import run_concurrently
from hybridsep.train.graph import GraphRunner, TrialStream
from hybridsep.train.step import DeviceData

# Calls of a captured step until it is replayed: eager ones, the capture, and one more. One thread makes them all, since
# cuDNN keeps its plans by thread and a capture must find them made.
_UNTIL_REPLAYED = 8


class RowWorkloads:
    """Makes the workloads of one row: `config` is its configuration, `workers` are those of the reference loop.

    `learning_rate` 0 changes no weight but takes the same time, and nothing runs off to infinity. `mean` and `std` of
    None are those of the dataset's training images.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        device: torch.device,
        *,
        workers: int = 0,
        learning_rate: float = 0.0,
        mean: list[float] | None = None,
        std: list[float] | None = None,
    ):
        self.config, self.dataset, self.workers = config, dataset, workers
        self._device, self._learning_rate = device, learning_rate
        padding = config.augmentation.padding
        self.data = DeviceData.load(dataset, device, padding=padding, mean=mean, std=std)
        self.build = build.network_factory(config, classes=len(dataset.classes))
        self.batch = config.schedule.batch_size
        self.augmentation = Augmentation(
            config.augmentation,
            count=len(dataset.train_images),
            height=dataset.train_images.shape[1],
            batch_size=self.batch,
            study_seed=config.seed,
        )

    @property
    def has_fast(self) -> bool:
        """Whether the network has modules with a fast way to their function on this device."""
        with torch.device("meta"):  # only its layers are asked for
            return has_fast(self.build(), self._device)

    def make(self, variant: Variant) -> Workload:
        """Return what does the steps of one variant."""
        if not variant.assembled:
            return self._reference_loop(variant)
        if variant.at_once == 1:
            return self.trial(variant)
        return ConcurrentTrials([self.trial(variant, trial) for trial in range(variant.at_once)], self._device)

    def trial(self, variant: Variant, trial: int = 0) -> "TrialLoop":
        """Return one trial, assembled as training assembles it but for the variant's switches."""
        if variant.compiled:
            compiling.begin_row()
        training = assemble(
            self.config,
            data=self.data,
            device=self._device,
            trial=trial,
            build=self.build,
            ways=variant.ways,
        )
        stream = TrialStream(self._device, cuda_graph=variant.graph, on_failure=self._refuse)
        return TrialLoop(
            training,
            stream,
            trial=trial,
            learning_rate=self._learning_rate,
            first_steps=_UNTIL_REPLAYED if variant.graph else 1,
            deterministic=variant.deterministic,
        )

    def memory(self, variant: Variant) -> int:
        """Return `step_bytes` of a variant.

        Not counted: the dataset, and batches that the reference loop's workers hold. On a CPU one trial of several that
        run at once is counted, and multiplied.
        """
        # What counts the tensors sees operations, and compiled ones are none.
        counted = replace(variant, data_on_device=True, compiled=False)
        times = 1
        if variant.at_once > 1 and self._device.type != "cuda":
            counted, times = replace(counted, at_once=1), variant.at_once
        return times * step_bytes(lambda: self.make(counted), self._device)

    def data_path(self, *, graph: bool) -> Workload:
        """Return the part of our step that makes a batch: draws, pixels, labels. With `graph` captured and replayed."""
        data = self.data
        epoch = self.augmentation.draw(trial=0, epoch=1).map(lambda part: part.to(self._device))
        counter = torch.zeros(1, dtype=torch.int64, device=self._device)

        def make_batch() -> None:
            draws = epoch.map(lambda part: part.index_select(0, counter)[0])
            self.augmentation.apply(data.train_images, draws, mean=data.mean, std=data.std)
            data.train_labels.index_select(0, draws.order)
            counter.add_(1).remainder_(len(epoch.order))

        if graph:
            return Repeated(GraphRunner(make_batch, generator=None, on_failure=self._refuse), float(self.batch))
        return Repeated(make_batch, float(self.batch))

    def _refuse(self, reason: str) -> None:
        """Raise ConfigError: what follows a failed capture are eager steps, whose times are not those of a graph."""
        raise ConfigError(f"model={self.config.row}: no CUDA graph was captured, so none is timed: {reason}")

    def _reference_loop(self, variant: Variant) -> ReferenceLoop:
        config, data = self.config, self.data
        network, _ = initial_network(
            config,
            self.build,
            device=self._device,
            trial=0,
            ways=variant.ways,
        )
        begin: Callable[[], Batches]
        if variant.data_on_device:
            gathered = device_batches(data, self.augmentation, trial=0, channels_last=variant.channels_last)
            begin = partial(iter, gathered)  # goes on where the block before ended
        else:
            begin = partial(
                loader_batches,
                self.dataset.train_images,
                self.dataset.train_labels,
                self._device,
                batch=self.batch,
                workers=self.workers,
                padding=config.augmentation.padding,
                mean=data.mean.tolist(),
                std=data.std.tolist(),
            )
        return ReferenceLoop(
            network,
            plain_sgd(network, config.schedule, learning_rate=self._learning_rate),
            begin,
            self._device,
            batch=self.batch,
            ahead=0 if variant.data_on_device else 2 * self.workers,  # DataLoader's own prefetch factor
            precision=variant.ways.precision,
            label_smoothing=config.schedule.label_smoothing,
        )


class TrialLoop(Workload):
    """Our loop: the steps of one trial, epoch after epoch, in its stream; an epoch's plan is drawn when it begins."""

    def __init__(
        self,
        training: Training,
        stream: TrialStream,
        *,
        trial: int,
        learning_rate: float,
        first_steps: int,
        deterministic: bool,
    ):
        self.training, self.steps, self.first_steps = training, training.step.steps, first_steps
        self.work = float(training.step.batch_size)
        self._stream, self._trial, self._deterministic = stream, trial, deterministic
        self._advance = stream.training(training.step, generator=training.generator)
        self._rates = np.full(self.steps, learning_rate, np.float32)
        self._epoch, self._at = 0, self.steps

    def ready(self) -> None:
        if self.training.step.losses.is_cuda:
            torch.set_deterministic_debug_mode("error" if self._deterministic else "default")
        self.training.network.train()

    def run(self, steps: int) -> None:
        with self._stream as stream:
            super().run(steps)
            stream.wait()

    def step(self) -> None:
        if self._at == self.steps:
            self._epoch, self._at = self._epoch + 1, 0
            with self._stream.eager():
                draws = self.training.augmentation.draw(trial=self._trial, epoch=self._epoch)
                self.training.step.begin_epoch(draws, self._rates)
        self._advance()
        self._at += 1


class ConcurrentTrials(Workload):
    """Several trials, each with a thread of its own; on a CPU they share out its cores."""

    def __init__(self, trials: list[TrialLoop], device: torch.device):
        self.work = sum(trial.work for trial in trials)
        self.first_steps = max(trial.first_steps for trial in trials)
        self.trials, self._device = trials, device

    def ready(self) -> None:
        self._threads = torch.get_num_threads()
        if self._device.type == "cpu":
            # Every new thread takes this number over.
            torch.set_num_threads(max(1, self._threads // len(self.trials)))
        for trial in self.trials:
            trial.ready()

    def run(self, steps: int) -> None:
        run_concurrently(self.trials, lambda trial: trial.run(steps), at_once=len(self.trials))

    def end(self) -> None:
        torch.set_num_threads(self._threads)
