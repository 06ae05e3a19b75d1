"""The reference loop: training on CIFAR-10 as PyTorch's and torchvision's tutorials write it.

A Dataset of PIL images; torchvision's transforms, one image at a time, in the workers of a DataLoader; a network in
float32 and NCHW; torch.optim.SGD; the loss read back after every step for a running mean.
https://pytorch.org/tutorials/beginner/blitz/cifar10_tutorial.html
"""

import itertools
from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from hybridsep.bench.timing import Workload
from hybridsep.config.schema import NumberFormat, ScheduleConfig
from hybridsep.data.augmentation import Augmentation
from hybridsep.train.precision import autocast
from hybridsep.train.step import DeviceData

# Batches (images (B, 3, H, W) float32, labels (B,) int64) on the network's device, without an end.
Batches = Iterator[tuple[Tensor, Tensor]]


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """uint8 images (N, H, W, 3) as transformed PIL images, as torchvision's CIFAR10 gives them."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable[[Image.Image], Tensor]):
        self._images, self._labels, self._transform = images, labels, transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._images[index])), int(self._labels[index])


def loader_batches(
    images: np.ndarray,
    labels: np.ndarray,
    device: torch.device,
    *,
    batch: int,
    workers: int,
    padding: int,
    mean: list[float],
    std: list[float],
) -> Batches:
    """Yield batches of a DataLoader with `workers` processes, which live as long as the iterator."""
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
    loader = DataLoader(
        Pictures(images, labels, transform),
        batch_size=batch,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        pin_memory=device.type == "cuda",
    )
    while True:
        for pixels, targets in loader:
            yield pixels.to(device, non_blocking=True), targets.to(device, non_blocking=True)


def device_batches(data: DeviceData, augmentation: Augmentation, *, trial: int, channels_last: bool) -> Batches:
    """Yield batches from the dataset on the device, by our gather, in the order of a trial."""
    device = data.train_images.device
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    for epoch in itertools.count(1):
        draws = augmentation.draw(trial=trial, epoch=epoch).map(lambda part: part.to(device))
        for step in range(augmentation.steps):
            batch = draws.map(lambda part, step=step: part[step])  # type: ignore[misc]
            images = augmentation.apply(data.train_images, batch, mean=data.mean, std=data.std)
            yield images.contiguous(memory_format=memory_format), data.train_labels[batch.order]


class ReferenceLoop(Workload):
    """The tutorial's loop, driven by the host: `work` images a step. `batches()` begins a source of them.

    `ahead` batches can be made in advance.

    `losses` is the sum over the last block. `shares` holds, for each timed block, the part of its time spent waiting
    for batches; with the data on a GPU that is the time to ask for them.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        batches: Callable[[], Batches],
        device: torch.device,
        *,
        batch: int,
        ahead: int,
        precision: NumberFormat,
        label_smoothing: float,
    ):
        self.work, self._ahead = float(batch), ahead
        self._network, self._optimiser, self._batches, self._device = network, optimiser, batches, device
        self._precision, self._label_smoothing = precision, label_smoothing
        self.shares: list[float] = []
        self._source: Batches = iter(())
        self.losses = self._waiting = 0.0

    def ready(self) -> None:
        if self._device.type == "cuda":
            # A user of the reference loop has not asked for deterministic kernels.
            torch.set_deterministic_debug_mode("default")
        self._network.train()
        self._source = self._batches()
        # Batches that workers made while other workloads were timed are used up before the time begins.
        for _ in range(self._ahead):
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
        # A DataLoader's workers would go on preparing batches while the other workloads are timed.
        self._source = iter(())


def plain_sgd(network: nn.Module, schedule: ScheduleConfig, *, learning_rate: float) -> torch.optim.SGD:
    """Return SGD as `torch.optim` makes it, with our weight decay: none on BatchNorm and biases."""
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=learning_rate, momentum=schedule.momentum, nesterov=schedule.nesterov)
