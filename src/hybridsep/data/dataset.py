"""What every source returns: all images of a classification dataset as uint8 arrays, checked, with a content hash."""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from hybridsep.errors import DataError
from hybridsep.runs.record import DatasetIdentity

_CHUNK = 1024  # images counted at once: bincount makes 8 bytes of every value


class Part(NamedTuple):
    """The images (N, H, H, 3) uint8 and labels (N,) int64 of a part."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Dataset:
    """Square RGB images (N, H, H, 3) uint8 and labels (N,) int64, in two parts with the same classes.

    Raises DataError when a part is empty, shapes or types differ from these, the side is not a multiple of 4 (two 2x2
    poolings must fit), a label has no class, or a class has no image in one of the parts; the test part of a `sample`
    may lack one.
    """

    name: str
    title: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
    sample: bool = False

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise DataError(f"dataset {self.name}: at least two different classes are needed, not {len(self.classes)}")
        for part, images, labels in self._parts():
            self._check(part, images, labels)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"dataset {self.name}: train images are {self.train_images.shape[1]} pixels a side,"
                f" test images {self.test_images.shape[1]}; they must be of one size"
            )

    def _parts(self) -> tuple[tuple[str, np.ndarray, np.ndarray], ...]:
        return ("train", self.train_images, self.train_labels), ("test", self.test_images, self.test_labels)

    def _check(self, part: str, images: np.ndarray, labels: np.ndarray) -> None:
        where = f"dataset {self.name}, {part} part"
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not images.flags.c_contiguous:
            raise DataError(f"{where}: images must be contiguous uint8 (N, H, W, 3), not {images.dtype} {images.shape}")
        if labels.dtype != np.int64 or labels.shape != (len(images),):
            raise DataError(f"{where}: labels must be int64 ({len(images)},), not {labels.dtype} {labels.shape}")
        height, width = images.shape[1:3]
        if height != width or height < 4 or height % 4:
            raise DataError(f"{where}: images must be square with a side divisible by 4, not {width} x {height} pixels")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise DataError(f"{where}: labels must be from 0 to {len(self.classes) - 1}")
        empty = np.flatnonzero(np.bincount(labels, minlength=len(self.classes)) == 0)
        if len(empty) and not (self.sample and part == "test"):
            raise DataError(f"{where}: class {self.classes[empty[0]]} has no image")

    def held_out(self, chosen: np.ndarray) -> "Dataset":
        """Return a dataset whose test part are the images `chosen` of all, training images first, and all others train.

        Raises DataError when no image of a class is left to train on.
        """
        images = np.concatenate([self.train_images, self.test_images])
        labels = np.concatenate([self.train_labels, self.test_labels])
        kept = np.delete(np.arange(len(labels)), chosen)
        return replace(
            self,
            train_images=images[kept],
            train_labels=labels[kept],
            test_images=images[chosen],
            test_labels=labels[chosen],
            sample=True,
        )

    @cached_property
    def sha256(self) -> str:
        """Hash of the decoded content: shapes, class names, images and labels; neither name nor title."""
        shapes = [list(images.shape) for _, images, _ in self._parts()]
        digest = hashlib.sha256(json.dumps({"classes": self.classes, "shapes": shapes}, sort_keys=True).encode())
        for _, images, labels in self._parts():
            digest.update(images.data)
            digest.update(labels.astype("<i8", copy=False).data)
        return digest.hexdigest()

    def identity(self) -> DatasetIdentity:
        """Return what a record says about its data; two runs are comparable when `sha256` is the same."""
        return DatasetIdentity(
            sha256=self.sha256,
            name=self.name,
            title=self.title,
            train=len(self.train_images),
            test=len(self.test_images),
            classes=self.classes,
            height=self.train_images.shape[1],
            width=self.train_images.shape[2],
        )


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and population standard deviation of each channel of uint8 images (N, H, W, 3), for values in [0, 1].

    The sums are of integers, from a count of the 256 values, so the result is exact and the same on every machine.
    Raises DataError when a channel is constant, because nothing can be divided by a deviation of zero.
    """
    counts = np.zeros((3, 256), dtype=np.int64)
    for start in range(0, len(images), _CHUNK):
        pixels = images[start : start + _CHUNK].reshape(-1, 3)
        counts += np.stack([np.bincount(pixels[:, channel], minlength=256) for channel in range(3)])
    means, deviations = [], []
    for channel, count in zip("RGB", counts.tolist(), strict=True):
        number = sum(count)
        total = sum(times * value for value, times in enumerate(count))
        squares = sum(times * value**2 for value, times in enumerate(count))
        variance = number * squares - total**2  # times number**2
        if variance == 0:
            raise DataError(f"channel {channel} has the same value in every pixel of every image")
        means.append(total / number / 255)
        deviations.append(variance**0.5 / number / 255)
    (mean_red, mean_green, mean_blue), (std_red, std_green, std_blue) = means, deviations
    return (mean_red, mean_green, mean_blue), (std_red, std_green, std_blue)
