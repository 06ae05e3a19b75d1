"""The reference loop: training on CIFAR-10 as PyTorch's and torchvision's tutorials write it.

A Dataset of PIL images; torchvision's transforms, one image at a time, in the workers of a DataLoader; a network in
float32 and NCHW; SGD as it comes; the loss read back after every step for a running mean.
https://pytorch.org/tutorials/beginner/blitz/cifar10_tutorial.html
"""

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from hybridsep.bench.timing import Workload
from hybridsep.data.batches import EpochPlan, gather
from hybridsep.train.precision import autocast
from hybridsep.train.sampler import AugmentationSampler
from hybridsep.train.step import DeviceData


class Pictures(torch.utils.data.Dataset):
    """uint8 images (N, H, W, 3) as transformed PIL images, as torchvision's CIFAR10 gives them."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable[[Image.Image], Tensor]):
        self._images, self._labels, self._transform = images, labels, transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._images[index])), int(self._labels[index])


class LoaderBatches:
    """An endless source of batches on the device: of a DataLoader with `workers` processes, from `begin` to `end`.

    Batches are images (B, 3, H, W) float32 and labels (B,) int64; `ahead` of them can be made in advance.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        device: torch.device,
        *,
        batch: int,
        workers: int,
        padding: int,
        mean: list[float],
        std: list[float],
    ):
        # Imported here because only this needs it, and it takes a second.
        from torchvision import transforms

        transform = transforms.Compose(
            [
                transforms.RandomCrop(images.shape[1], padding=padding),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        )
        pictures = Pictures(images, labels, transform)
        self._loader = DataLoader(
            pictures,
            batch_size=batch,
            shuffle=True,
            num_workers=workers,
            drop_last=True,
            pin_memory=device.type == "cuda",
        )
        self._device, self._iterator = device, None
        self.ahead = 2 * workers  # DataLoader's own prefetch factor

    def begin(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            self._iterator = iter(self._loader)
            for images, labels in self._iterator:
                yield images.to(self._device, non_blocking=True), labels.to(self._device, non_blocking=True)

    def end(self) -> None:
        # Its workers would go on preparing batches while the other workloads are timed.
        self._iterator = None


class DeviceBatches:
    """As `LoaderBatches`, from the dataset on the device, by our gather, in the order of a trial's sampler."""

    ahead = 0

    def __init__(self, data: DeviceData, sampler: AugmentationSampler, *, trial: int, channels_last: bool):
        self._data, self._sampler, self._trial = data, sampler, trial
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._epoch = 0
        self._batches = self._endless()

    def begin(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self._batches

    def end(self) -> None:
        pass

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        data, device = self._data, self._data.train_images.device
        while True:
            self._epoch += 1
            plan = EpochPlan(*(part.to(device) for part in self._sampler.plan(trial=self._trial, epoch=self._epoch)))
            for index, *augmentation in zip(*plan, strict=True):
                images = gather(
                    data.train_images, index, *augmentation, mean=data.mean, std=data.std, **self._sampler.constants
                )
                yield images.contiguous(memory_format=self._format), data.train_labels[index]


class ReferenceLoop(Workload):
    """The tutorial's loop, driven by the host: `work` images a step.

    `losses` is the sum over the last block. `shares` holds, for each timed block, the part of its time spent waiting
    for batches; with the data on a GPU that is the time to ask for them.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        batches: LoaderBatches | DeviceBatches,
        device: torch.device,
        *,
        batch: int,
        precision: str,
        label_smoothing: float,
    ):
        self.work = float(batch)
        self._network, self._optimiser, self._batches, self._device = network, optimiser, batches, device
        self._precision, self._label_smoothing = precision, label_smoothing
        self.shares: list[float] = []
        self.losses = self._waiting = 0.0

    def ready(self) -> None:
        if self._device.type == "cuda":
            # A user of the reference loop has not asked for deterministic kernels.
            torch.use_deterministic_algorithms(False)
        self._network.train()
        self._source = self._batches.begin()
        # Batches that workers made while other workloads were timed are used up before the time begins.
        for _ in range(self._batches.ahead):
            self.step()

    def run(self, steps: int) -> None:
        begun, self._waiting, self.losses = perf_counter(), 0.0, 0.0
        super().run(steps)
        self.shares.append(self._waiting / (perf_counter() - begun))

    def step(self) -> None:
        begun = perf_counter()
        images, labels = next(self._source)
        self._waiting += perf_counter() - begun
        self._optimiser.zero_grad()
        with autocast(self._device, self._precision):
            outputs = self._network(images)
        loss = functional.cross_entropy(outputs.float(), labels, label_smoothing=self._label_smoothing)
        loss.backward()
        self._optimiser.step()
        self.losses += loss.item()

    def end(self) -> None:
        self._source = None
        self._batches.end()


def plain_sgd(network: nn.Module, schedule: dict[str, Any], *, learning_rate: float) -> torch.optim.SGD:
    """Return SGD as `torch.optim` makes it, with our weight decay: none on BatchNorm and biases."""
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": schedule["weight_decay"]},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=learning_rate, momentum=schedule["momentum"], nesterov=schedule["nesterov"])
