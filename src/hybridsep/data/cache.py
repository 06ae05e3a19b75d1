"""A dataset in one file, written whole or not at all, and checked against its own hash whenever it is read."""

import contextlib
import os
from pathlib import Path

import numpy as np

from hybridsep.data.dataset import Dataset, Part
from hybridsep.data.layout import PARTS


def read(stored: Path, *, name: str, title: str) -> Dataset | str:
    """Return the stored dataset, or why there is none."""
    try:
        with stored.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            train, test = (Part(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in PARTS)
            classes, sha256 = tuple(arrays["classes"].tolist()), str(arrays["sha256"])
        dataset = Dataset(name, title, *train, *test, classes)
    except Exception as error:  # a damaged zip or array raises any of a dozen types, all with one cure
        return " ".join(str(error).split()) or type(error).__name__
    return dataset if dataset.sha256 == sha256 else "its content is not what was written"


def write(stored: Path, dataset: Dataset) -> None:
    """Store a dataset. The caller holds the lock, so a killed run's partial file is overwritten. Raises OSError."""
    partial = stored.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            np.savez(
                file,
                train_images=dataset.train_images,
                train_labels=dataset.train_labels,
                test_images=dataset.test_images,
                test_labels=dataset.test_labels,
                classes=np.array(dataset.classes),
                sha256=np.array(dataset.sha256),
            )
            file.flush()
            os.fsync(file.fileno())
        partial.replace(stored)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
