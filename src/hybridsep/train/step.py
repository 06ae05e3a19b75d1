"""One training step and the evaluation of one trial, made of device-resident state only.

The step reads its images, crops, flips and learning rate through a counter that lives on the device and never asks the
host anything. On a CPU it runs as it stands; on a GPU the same function is captured and replayed (`train/graph.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hybridsep.config.schema import NumberFormat
from hybridsep.data import Dataset, channel_statistics
from hybridsep.data.augmentation import Augmentation, Draws
from hybridsep.data.batches import evaluation_batches, pad_images
from hybridsep.train.optimiser import SGD
from hybridsep.train.precision import autocast


def evaluation_batch(device: torch.device) -> int:
    """Return how many images are evaluated at once.

    On a CPU what its caches hold: with 500, a core evaluated 12,800 images/s in place of 26,400 (separable, size=small,
    bfloat16). On a GPU, where nothing was measured, enough to fill it.
    """
    return 250 if device.type == "cpu" else 1000


@dataclass(frozen=True)
class DeviceData:
    """A dataset on the device, shared by all trials: uint8 images, int64 labels, float32 channel statistics."""

    train_images: torch.Tensor  # (N, H + 2p, W + 2p, 3), padded once
    train_labels: torch.Tensor
    test_images: torch.Tensor  # (N, H, W, 3)
    test_labels: torch.Tensor
    mean: torch.Tensor  # (3,), for values in [0, 1]
    std: torch.Tensor

    @classmethod
    def load(
        cls,
        dataset: Dataset,
        device: torch.device,
        *,
        padding: int,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
    ) -> "DeviceData":
        """Copy a dataset to the device; `mean` and `std` of None are measured on the training images."""
        if mean is None or std is None:
            mean, std = channel_statistics(dataset.train_images)
        return cls(
            pad_images(torch.from_numpy(dataset.train_images).to(device), padding),
            torch.from_numpy(dataset.train_labels).to(device),
            torch.from_numpy(dataset.test_images).to(device),
            torch.from_numpy(dataset.test_labels).to(device),
            torch.tensor(mean, dtype=torch.float32, device=device),
            torch.tensor(std, dtype=torch.float32, device=device),
        )


class TrainingStep:
    """The SGD step of one trial; call it `steps` times after each `begin_epoch`.

    `losses` and `wrong`, float32 and int64 (steps,), collect each step's mean loss and its errors.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: SGD,
        data: DeviceData,
        augmentation: Augmentation,
        *,
        label_smoothing: float,
        precision: NumberFormat,
    ):
        self.network, self.optimiser, self._data = network, optimiser, data
        self._augmentation = augmentation
        self._label_smoothing, self._precision = label_smoothing, precision
        device = data.train_images.device
        draws = augmentation.draw(trial=0, epoch=1)  # any: their shapes count
        self.steps, self.batch_size = draws.order.shape
        # Static buffers: a captured graph reads these addresses, so an epoch's draws are copied into them.
        self._draws = draws.map(lambda part: torch.empty_like(part, device=device))
        self._rates = torch.zeros(self.steps, device=device)
        self._counter = torch.zeros(1, dtype=torch.int64, device=device)
        self._numbers = torch.arange(self.steps, device=device)
        self.losses = torch.zeros(self.steps, device=device)
        self.wrong = torch.zeros(self.steps, dtype=torch.int64, device=device)

    def begin_epoch(self, draws: Draws, rates: np.ndarray, *, first_step: int = 0) -> None:
        """Load an epoch's draws and its learning rates (steps,), and go to `first_step` (above 0 after a resume)."""
        self._draws.copy_(draws)
        self._rates.copy_(torch.from_numpy(rates))
        self._counter.fill_(first_step)
        if first_step == 0:
            self.losses.zero_()
            self.wrong.zero_()
        self.network.train()

    def __call__(self) -> None:
        """Do the step that the counter points at, and advance the counter."""
        at, mean, std = self._counter, self._data.mean, self._data.std
        draws = self._draws.map(lambda part: part.index_select(0, at)[0])
        images = self._augmentation.apply(self._data.train_images, draws, mean=mean, std=std)
        labels = self._data.train_labels.index_select(0, draws.order)
        self.optimiser.rate.copy_(self._rates.index_select(0, at)[0])
        self.optimiser.zero_grad()
        with autocast(images.device, self._precision):
            logits = self.network(images)
        logits = logits.float()
        loss = functional.cross_entropy(logits, labels, label_smoothing=self._label_smoothing)
        loss.backward()
        self.optimiser.step()
        # A selection over all steps, because an indexed copy sorts its indices when kernels must be deterministic.
        here = self._numbers == at
        torch.where(here, loss.detach(), self.losses, out=self.losses)
        torch.where(here, (logits.argmax(1) != labels).sum(), self.wrong, out=self.wrong)
        at += 1


@torch.inference_mode()
def training_images(data: DeviceData, augmentation: Augmentation, draws: Draws, count: int) -> torch.Tensor:
    """Return the first `count` images of an epoch as its steps see them, as pixels: uint8 (count, size, size, 3)."""
    first = draws.map(lambda part: part.flatten(0, 1)[:count].to(data.train_images.device))
    batch = augmentation.apply(data.train_images, first, mean=data.mean, std=data.std)
    return (batch.permute(0, 2, 3, 1) * data.std + data.mean).mul(255).round().clamp(0, 255).to(torch.uint8)


@torch.inference_mode()
def logits_of(
    network: nn.Module, data: DeviceData, *, size: int, precision: NumberFormat, batch_size: int | None = None
) -> torch.Tensor:
    """Return float32 logits (images, classes) of `network` in evaluation mode for the test images of `data`.

    `batch_size` of them at once, by default `evaluation_batch`.
    """
    network.eval()
    parts = []
    batch_size = batch_size or evaluation_batch(data.test_images.device)
    for batch in evaluation_batches(data.test_images, batch_size, size=size, mean=data.mean, std=data.std):
        with autocast(batch.device, precision):
            logits = network(batch)
        parts.append(logits.float())
    return torch.cat(parts)


class Evaluation:
    """The evaluation of one trial: each call leaves `logits_of` its network as it is now in `logits`.

    Always in one place, because a captured graph writes where it wrote when it was captured.
    """

    def __init__(self, network: nn.Module, data: DeviceData, *, size: int, precision: NumberFormat):
        self._network, self._data = network, data
        self._size, self._precision = size, precision
        self.logits: torch.Tensor | None = None

    def __call__(self) -> None:
        logits = logits_of(self._network, self._data, size=self._size, precision=self._precision)
        if self.logits is None:
            self.logits = torch.empty_like(logits)
        self.logits.copy_(logits)
