"""One image file to one RGB array, without trust in the file."""

import io
import re
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hybridsep.errors import DataError

MAX_SIDE = 512  # pixels, checked in the header; images that are made small may have what Pillow lets pass
_FORMATS = ("JPEG", "PNG", "BMP", "PPM", "WEBP")  # no format whose decoder runs another program
_PNG_BIT_DEPTH = 24  # offset of the bit depth in a PNG's first chunk
_PPM_HEADER = re.compile(rb"P[2356](?:\s|#[^\n]*\n)+" + rb"(\d+)(?:\s|#[^\n]*\n)+" * 3)
_ALLOWED = f"allowed are whole 8-bit RGB, grey or palette images in {', '.join(_FORMATS)}"


class DecodedImage(NamedTuple):
    """An image as uint8 (side, side, 3), and whether it had transparency, which was laid onto white."""

    pixels: np.ndarray
    transparent: bool


def decode(data: bytes, *, name: str, resize: int | None) -> DecodedImage:
    """Return the image in a file's bytes: as it is when `resize` is None, then a square of up to MAX_SIDE pixels.

    With `resize` the largest square in its middle, turned upright as EXIF says and brought to this many pixels a side
    (Pillow, bicubic). Grey and palette images become RGB, which loses nothing. Raises DataError naming `name` for
    anything else: more bits, several frames, other colours, another shape, a truncated file, no image at all.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                _check(image, data, name, resize)
                transparent = image.mode in ("RGBA", "LA") or "transparency" in image.info
                return DecodedImage(np.array(_converted(image, resize, transparent)), transparent)
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen unrelated types on damaged files
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
        raise DataError(f"{name} cannot be decoded ({reason or type(error).__name__}): {_ALLOWED}") from None


def _converted(image: Image.Image, resize: int | None, transparent: bool) -> Image.Image:
    if resize is not None:
        image = ImageOps.exif_transpose(image)
    if transparent:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    if image.mode != "RGB":
        image = image.convert("RGB")
    if resize is None or image.size == (resize, resize):
        return image
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    return image.crop((left, top, left + side, top + side)).resize((resize, resize), Image.Resampling.BICUBIC)


def _check(image: Image.Image, data: bytes, name: str, resize: int | None) -> None:
    width, height = image.size
    if resize is None and (width != height or not 1 <= width <= MAX_SIDE):
        raise DataError(
            f"{name} is {width} x {height} pixels: squares of 1 to {MAX_SIDE} pixels a side are allowed;"
            " data.side=32, for instance, takes the square in the middle and makes it 32 x 32"
        )
    if image.mode not in ("RGB", "L", "P", "1", "RGBA", "LA"):
        raise DataError(f"{name} has mode {image.mode}: {_ALLOWED}")
    bits = 8
    if image.format == "PNG":
        bits = data[_PNG_BIT_DEPTH]
    elif image.format == "PPM" and (header := _PPM_HEADER.match(data)):
        bits = int(header[3]).bit_length()
    if bits > 8:
        raise DataError(f"{name} has {bits} bits per channel: {_ALLOWED}")
    if (frames := getattr(image, "n_frames", 1)) != 1:
        raise DataError(f"{name} has {frames} frames: {_ALLOWED}")
