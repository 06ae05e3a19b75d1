"""Darknet's colour jitter: hue, saturation and exposure of each image in HSV (`distort_image` in its image.c)."""

import numpy as np
import torch
from torch import Tensor


def draw_jitter(
    draw: np.random.Generator, shape: tuple[int, ...], *, hue: float, saturation: float, exposure: float
) -> np.ndarray:
    """Return float32 (*shape, 3): hue shift (share of the circle), saturation factor, exposure factor of each image.

    The shift is uniform in [-hue, hue]. A factor is uniform between 1 and its limit, or with probability one half the
    inverse of that, as darknet's `rand_scale` draws it; a limit of 1 leaves images as they are.
    """
    shift = draw.uniform(-1.0, 1.0, size=shape) * hue
    factors = [
        (1.0 + draw.random(shape) * (limit - 1.0)) ** draw.choice((-1.0, 1.0), size=shape)
        for limit in (saturation, exposure)
    ]
    return np.stack([shift, *factors], axis=-1).astype(np.float32)


def jitter(images: Tensor, amounts: Tensor) -> Tensor:
    """Return float32 (B, H, W, 3) in [0, 1]: `images` of the same form with each image's `amounts` (B, 3) applied."""
    shift, saturation, exposure = (amounts[:, i, None, None] for i in range(3))
    red, green, blue = images.unbind(-1)
    value, low = images.amax(-1), images.amin(-1)
    chroma = value - low
    span = chroma.clamp_min(1e-12)
    sector = torch.where(
        value == red,
        (green - blue) / span,
        torch.where(value == green, 2.0 + (blue - red) / span, 4.0 + (red - green) / span),
    )
    sector = sector + 6.0 * shift
    # value * saturation * exposure of the new colour; chroma is value times saturation.
    chroma, value = chroma * saturation * exposure, value * exposure
    # Back to RGB in closed form: channel n is value - chroma * clamp(min(k, 4 - k), 0, 1) with k = (n + sector) mod 6.
    offsets = torch.arange(5.0, 0.0, -2.0, device=images.device)
    k = torch.remainder(sector[..., None] + offsets, 6.0)
    return (value[..., None] - chroma[..., None] * torch.minimum(k, 4.0 - k).clamp(0.0, 1.0)).clamp(0.0, 1.0)
