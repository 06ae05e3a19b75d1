"""One image file to one RGB array, without trust in the file."""

import io
import warnings

import numpy as np
from PIL import Image

from hybridsep.errors import DataError

MAX_SIDE = 512  # pixels; checked in the header, so a decompression bomb is refused before it is decoded
_FORMATS = ("JPEG", "PNG", "BMP", "PPM", "WEBP")  # no format whose decoder runs another program
_PNG_BIT_DEPTH = 24  # offset of the bit depth in a PNG's first chunk


def decode(data: bytes, *, name: str, side: int | None) -> np.ndarray:
    """Return an image file's bytes as uint8 (side, side, 3); `side` None accepts any square of up to MAX_SIDE pixels.

    Grey and palette images without transparency become RGB, which loses nothing. Raises DataError naming `name` for
    anything else: another mode or depth, several frames, another size, a truncated file, no image at all.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                _check(image, data, name, side)
                return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen unrelated types on damaged files
        reason = "not an image" if isinstance(error, Image.UnidentifiedImageError) else " ".join(str(error).split())
        raise DataError(f"{name} cannot be decoded ({reason or type(error).__name__}): {_ALLOWED}") from None


_ALLOWED = f"allowed are whole 8-bit RGB, grey or palette images in {', '.join(_FORMATS)}"


def _check(image: Image.Image, data: bytes, name: str, side: int | None) -> None:
    width, height = image.size
    if side is not None and (width, height) != (side, side):
        raise DataError(f"{name} is {width} x {height} pixels, the images before {side} x {side}: one size is needed")
    if width != height or not 1 <= width <= MAX_SIDE:
        raise DataError(f"{name} is {width} x {height} pixels: squares of 1 to {MAX_SIDE} pixels a side are allowed")
    if image.mode not in ("RGB", "L", "P", "1") or "transparency" in image.info:
        raise DataError(f"{name} has mode {image.mode} or transparency: {_ALLOWED}")
    if image.format == "PNG" and data[_PNG_BIT_DEPTH] > 8:
        raise DataError(f"{name} has {data[_PNG_BIT_DEPTH]} bits per channel: {_ALLOWED}")
    if getattr(image, "n_frames", 1) != 1:
        raise DataError(f"{name} has {image.n_frames} frames: {_ALLOWED}")
