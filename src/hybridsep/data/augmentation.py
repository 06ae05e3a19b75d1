"""What happens to training images: drawn for a whole epoch on the host, applied to a batch where the images are.

An epoch is drawn before it begins; a step is then one gather of the drawn pixels, without a loop or a word to the host,
so that a CUDA graph can replay it. On one core of a shared CPU `apply` gave 210,000 augmented, normalised images/s at
32x32 in batches of 128 (100,000 with cutout); its `index_select` of single pixels takes a half to a quarter of the time
of indexing with three tensors.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hybridsep.config.schema import AugmentationConfig
from hybridsep.data.batches import normalise
from hybridsep.data.jitter import draw_jitter, jitter
from hybridsep.errors import ConfigError
from hybridsep.runs.seeds import stream


class Draws(NamedTuple):
    """The draws of an epoch, CPU tensors of shape (steps, batch), or of one batch of it, (batch,), anywhere.

    What an augmentation does not use is None.
    """

    order: Tensor  # int64, index of each image
    top: Tensor  # int64, first row and column of its crop in the padded image
    left: Tensor
    flip: Tensor  # bool, mirrored left to right
    hole_top: Tensor | None  # int64, first row and column of its cutout in the crop; can lie outside by half a hole
    hole_left: Tensor | None
    colour: Tensor | None  # float32, with a third axis: the amounts of `jitter.draw_jitter`

    def map(self, function: Callable[[Tensor], Tensor]) -> "Draws":
        """Return the draws with `function` applied to each tensor."""
        return Draws(*(None if part is None else function(part) for part in self))  # type: ignore[arg-type]

    def copy_(self, other: "Draws") -> None:
        """Take over the values of draws of the same augmentation, in place."""
        for buffer, part in zip(self, other, strict=True):
            if buffer is not None and part is not None:
                buffer.copy_(part)


class Augmentation:
    """The augmentation of a study: its random numbers, and what it makes of the `count` images of `height` pixels.

    `size` is the side of the crops. The images left over after the last full batch are not seen in an epoch, so that
    every step has one shape. Raises ConfigError when there are fewer images than one batch, or the crop is larger than
    the padded image.
    """

    def __init__(self, config: AugmentationConfig, *, count: int, height: int, batch_size: int, study_seed: int):
        self.size = config.crop or height
        self._config, self._count, self._batch_size, self._study_seed = config, count, batch_size, study_seed
        self._hole = config.cutout if config.kind == "crop_flip_cutout" else 0
        self._jittered = (config.hue, config.saturation, config.exposure) != (0.0, 1.0, 1.0)
        self._last = height + 2 * config.padding - self.size  # the last place of a crop in the padded image
        self.steps = count // batch_size
        if self.steps < 1:
            raise ConfigError(
                f"schedule.batch_size={batch_size} is not allowed: 1 to {count}, the number of train images"
            )
        if self._last < 0:
            raise ConfigError(
                f"augmentation.crop={self.size} is not allowed: images of {height} pixels with"
                f" augmentation.padding={config.padding} have {height + 2 * config.padding}"
            )

    def draw(self, *, trial: int, epoch: int) -> Draws:
        """Return one epoch's draws: a function of study seed, trial and epoch, never of the model.

        The order comes from the stream (order, trial, epoch), crops, flips and holes from (augmentation, trial,
        epoch), colours from (jitter, trial, epoch), so crops and flips are the same with and without the others.
        """
        shape = (self.steps, self._batch_size)
        seen = self.steps * self._batch_size
        order = stream(self._study_seed, "order", trial, epoch).permutation(self._count)[:seen].reshape(shape)
        hole_top = hole_left = colour = None
        if self._config.kind == "none":
            top = left = np.full(shape, self._last // 2)
            flip = np.zeros(shape, bool)
        else:
            draw = stream(self._study_seed, "augmentation", trial, epoch)
            top, left = draw.integers(0, self._last, size=(2, *shape), endpoint=True)
            flip = draw.integers(0, 2, size=shape).astype(bool)
            if self._hole:
                hole_top, hole_left = draw.integers(0, self.size, size=(2, *shape)) - self._hole // 2
        if self._jittered:
            draw = stream(self._study_seed, "jitter", trial, epoch)
            hue, saturation, exposure = self._config.hue, self._config.saturation, self._config.exposure
            colour = draw_jitter(draw, shape, hue=hue, saturation=saturation, exposure=exposure)
        parts = (order, top, left, flip, hole_top, hole_left, colour)
        tensors = (None if part is None else torch.from_numpy(np.ascontiguousarray(part)) for part in parts)
        return Draws(*tensors)  # type: ignore[arg-type]

    def apply(self, padded: Tensor, draws: Draws, *, mean: Tensor, std: Tensor) -> Tensor:
        """Return float32 (B, 3, size, size), channels last: the crops of a batch, augmented and normalised.

        `padded` is (N, Hp, Wp, 3) uint8 and contiguous (`batches.pad_images`); the draws are (B,), one row of `draw`'s;
        `mean` and `std` are float32 (3,) for values in [0, 1]. Colours change first; last a hole of the cutout is set
        to zero (the mean colour) in each image, cut off at the borders (DeVries and Taylor 2017).
        """
        size, (rows, columns) = self.size, padded.shape[1:3]
        span = torch.arange(size, device=padded.device)
        row = draws.top[:, None] + span
        column = draws.left[:, None] + torch.where(draws.flip[:, None], size - 1 - span, span)
        pixel = ((draws.order[:, None] * rows + row) * columns)[:, :, None] + column[:, None, :]
        crops = padded.view(-1, 3).index_select(0, pixel.view(-1)).view(-1, size, size, 3)
        if draws.colour is not None:
            batch = ((jitter(crops.float() / 255, draws.colour) - mean) / std).permute(0, 3, 1, 2)
        else:
            batch = normalise(crops, mean=mean, std=std)
        if draws.hole_top is not None and draws.hole_left is not None:
            first = (draws.hole_top[:, None], draws.hole_left[:, None])
            in_rows, in_columns = ((span >= start) & (span < start + self._hole) for start in first)
            batch = batch.masked_fill((in_rows[:, :, None] & in_columns[:, None, :])[:, None], 0.0)
        return batch


def doubts(config: AugmentationConfig, *, height: int, classes: Sequence[str]) -> list[str]:
    """Return a line for each way in which an augmentation hardly makes sense for such images; none when it does."""
    lines = []
    if config.kind != "none" and 2 * config.padding >= height:
        lines.append(
            f"augmentation: crops move images of {height} x {height} pixels by up to {config.padding}, half their side;"
            " augmentation=none leaves them as they are"
        )
    if config.kind != "none" and all(len(name) == 1 and name.isdecimal() for name in classes):
        lines.append(
            f"augmentation: where the classes {', '.join(classes)} are digits, flips make of them what no digit is;"
            " augmentation=none leaves them as they are"
        )
    return lines
