"""Images on the device: padded once, normalised, and in batches for an evaluation."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad


def pad_images(images: Tensor, padding: int) -> Tensor:
    """Return uint8 (N, H, W, 3) as contiguous (N, H+2p, W+2p, 3) with a black border, as torchvision does."""
    return pad(images, (0, 0, padding, padding, padding, padding)).contiguous()


def normalise(images: Tensor, *, mean: Tensor, std: Tensor) -> Tensor:
    """Return uint8 (B, H, W, 3) as float32 (B, 3, H, W), channels last: (value / 255 - mean) / std per channel."""
    count, height, width, _ = images.shape
    # Scale and shift are laid out over a whole row: broadcasting over three values is four times slower on a CPU.
    scale = (1 / (255 * std)).repeat(width)
    shift = (-mean / std).repeat(width)
    rows = torch.addcmul(shift, images.reshape(count, height, width * 3).float(), scale)
    return rows.view(count, height, width, 3).permute(0, 3, 1, 2)


def evaluation_batches(images: Tensor, batch_size: int, *, size: int, mean: Tensor, std: Tensor) -> Iterator[Tensor]:
    """Yield uint8 (N, H, W, 3) in order as normalised batches of centre crops, the last one as small as it is."""
    top, left = ((side - size) // 2 for side in images.shape[1:3])
    centre = images[:, top : top + size, left : left + size]
    for start in range(0, len(centre), batch_size):
        yield normalise(centre[start : start + batch_size], mean=mean, std=std)
