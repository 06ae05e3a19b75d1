"""Pictures for TensorBoard: the images that a trial trains on, and those that it gets wrong."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hybridsep.runs import events

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

COUNT = 64
COLUMNS = 8
_LARGEST = 64  # pixels a side in the grid; without a limit the pictures of a trial on photographs would take megabytes
_GAP = 2


def training(images: np.ndarray) -> "Summary":
    """Return the picture of augmented training images, uint8 (n, side, side, 3)."""
    description = f"The first {len(images)} images of epoch 1 as the network sees them, row by row."
    return _picture("training images, epoch 1", images, description)


def wrong(
    images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str], *, size: int
) -> list["Summary"]:
    """Return a picture of wrong ones among the test images (n, H, H, 3) and a text with their classes.

    `size` is the side of the part that the network sees, the centre. Nothing is returned when none is wrong.
    """
    wrong_ones = np.flatnonzero(predicted != labels)
    if not len(wrong_ones):
        return []
    # Not the first ones: a folder of images is in the order of its classes.
    chosen = wrong_ones[np.linspace(0, len(wrong_ones) - 1, min(COUNT, len(wrong_ones))).round().astype(int)]
    first = (images.shape[1] - size) // 2
    seen = images[chosen, first : first + size, first : first + size]
    cells = [f"{classes[labels[index]]} → {classes[predicted[index]]}" for index in chosen]
    lines = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    head = [str(column + 1) for column in range(len(lines[0]))]
    # In Markdown a bar would end the cell.
    table = [head, ["---"] * len(head), *([cell.replace("|", "/") for cell in line] for line in lines)]
    markdown = "\n".join(f"| {' | '.join(line)} |" for line in table)
    description = (
        f"{len(chosen)} of the {len(wrong_ones)} test images that are classified wrongly, from all over the dataset."
    )
    return [
        _picture("wrong test images", seen, f"{description} Their classes: Text, wrong test images: classes."),
        events.text("wrong test images: classes", f"{description} True class → predicted class.\n\n{markdown}"),
    ]


def grid(images: np.ndarray) -> np.ndarray:
    """Return uint8 images (n, side, side, 3) on white, COLUMNS in a row; of large ones every k-th pixel."""
    every = -(-images.shape[1] // _LARGEST)
    images = images[:, ::every, ::every]
    count, side = images.shape[:2]
    columns = min(COLUMNS, count)
    step = side + _GAP
    page = np.full((-(-count // columns) * step - _GAP, columns * step - _GAP, 3), 255, np.uint8)
    for number, one in enumerate(images):
        top, left = number // columns * step, number % columns * step
        page[top : top + side, left : left + side] = one
    return page


def _picture(tag: str, images: np.ndarray, description: str) -> "Summary":
    page = grid(images)
    file = io.BytesIO()
    Image.fromarray(page).save(file, "PNG")
    return events.image(tag, file.getvalue(), height=page.shape[0], width=page.shape[1], description=description)
