"""A trained network, used by itself: the trial of a run folder, loaded for predictions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hybridsep.config.schema import ModelConfig, NumberFormat
from hybridsep.data.batches import evaluation_batches
from hybridsep.data.images import decode
from hybridsep.errors import DataError, RecordError
from hybridsep.runs import records
from hybridsep.runs.record import Record, State
from hybridsep.train import build, checkpoint
from hybridsep.train.precision import autocast

_BATCH = 250


@dataclass(frozen=True)
class TrainedNetwork:
    """A finished trial's network in evaluation mode on the CPU, and what its inputs and outputs mean.

    `record` is the trial's (`hybridsep.runs.record.Record`). Images are of `side` pixels; the network sees the middle
    `crop` pixels of them, normalised by `mean` and `std` of each channel, for values in [0, 1].
    """

    network: nn.Module
    record: Record
    precision: NumberFormat
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    side: int
    crop: int

    @torch.inference_mode()
    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return the logits (N, classes), float32, of images uint8 (N, side, side, 3), as evaluation computes them.

        Raises DataError for images of another shape or type.
        """
        if images.dtype != np.uint8 or images.shape[1:] != (self.side, self.side, 3):
            shape = f"(N, {self.side}, {self.side}, 3)"
            raise DataError(f"images must be uint8 {shape}, not {images.dtype} {images.shape}")
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        parts = []
        for batch in evaluation_batches(torch.from_numpy(images), _BATCH, size=self.crop, mean=mean, std=std):
            with autocast(batch.device, self.precision):
                parts.append(self.network(batch).float())
        return torch.cat(parts).numpy()

    def predict(self, image: str | Path) -> dict[str, float]:
        """Return `{class: probability}` of an image file, the most probable class first.

        Of an image of another size the square in its middle is taken and brought to `side` pixels. Raises DataError
        when it cannot be read.
        """
        try:
            content = Path(image).read_bytes()
        except OSError as error:
            raise DataError(f"{image} cannot be read: {error.strerror}") from None
        pixels = decode(content, name=str(image), resize=self.side).pixels
        (logits,) = self.logits(pixels[None])
        probabilities = np.exp(logits - logits.max())
        probabilities /= probabilities.sum()
        order = np.argsort(-probabilities, kind="stable")
        return {self.classes[index]: float(probabilities[index]) for index in order}


def load(folder: str | Path) -> TrainedNetwork:
    """Return the network of a finished trial's folder, such as `results/runs/my_study/separable/trial-00`.

    Raises RecordError when the trial is not finished or its checkpoint is not there, is damaged, or was written by a
    version that kept no class names, mean and standard deviation.
    """
    folder = Path(folder)
    record = records.load(folder)
    if record.status != State.FINISHED:
        raise RecordError(f"{folder}: this trial is not finished ({record.status})")
    state, _ = checkpoint.load(folder, identity=record.identity)
    if state is None:
        raise RecordError(f"{folder}: no {checkpoint.NAME}; it stays where the trial was trained")
    precision, inputs = record.settings.precision, state.inputs
    if inputs is None or precision == "unknown":
        raise RecordError(f"{folder}: {checkpoint.NAME} is of an earlier version and does not hold mean and std")
    model = record.settings.model
    network = build.factory_of(ModelConfig(**vars(model)), classes=len(inputs.classes))()
    network.load_state_dict(state.network)
    network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return TrainedNetwork(
        network,
        record,
        precision,
        classes=tuple(inputs.classes),
        mean=tuple(inputs.mean),
        std=tuple(inputs.std),
        side=inputs.side,
        crop=record.settings.augmentation.crop or inputs.side,
    )
