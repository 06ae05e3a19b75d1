"""An image file, whatever its bytes: the right pixels or a refusal by name."""

import contextlib
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_images import encoded, pixels, refused_source, small, write_folder, write_tar
from PIL import Image

from hybridsep.data.images import decode
from hybridsep.errors import DataError


def test_images_are_turned_upright_where_they_are_resized():
    lying = pixels(0)
    about = Image.Exif()
    about[0x0112] = 6  # to be turned by a quarter
    data = encoded(lying, exif=about)
    assert np.array_equal(decode(data, name="x", resize=None).pixels, np.array(lying))
    assert np.array_equal(decode(data, name="x", resize=8).pixels, np.array(lying.rotate(-90)))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + end


BAD_IMAGES = {
    "text": (b"not an image", "not an image"),
    "empty": (b"", "not an image"),
    "half-png": (encoded(pixels(0))[:120], "cannot be decoded"),
    "half-jpeg": (encoded(pixels(0), "JPEG")[:-40], "truncated"),
    "no-rows": (png(8, 8), "cannot be decoded"),
    "bomb": (png(60_000, 60_000, rows=bytes(1000)), "exceeds limit"),
    "bomb-that-pillow-only-warns-of": (png(12_000, 12_000), "exceeds limit"),
    "huge": (png(4096, 4096), "4096 x 4096"),
    "cmyk": (encoded(pixels(0, mode="CMYK"), "JPEG"), "CMYK"),
    "16-bit-grey": (encoded(Image.fromarray(np.zeros((8, 8), np.uint16))), "I;16"),
    "16-bit-rgb": (png(8, 8, depth=16, rows=bytes(8 * 49)), "16 bits"),
    "16-bit-ppm": (b"P6 8 # eight\n8\n65535\n" + bytes(384), "16 bits"),
    "10-bit-ppm": (b"P6\n8 8\n1023\n" + bytes(384), "10 bits"),
    "16-bit-pgm": (b"P5\n8 8\n65535\n" + bytes(128), "mode I"),
    "gif": (encoded(pixels(0), "GIF"), "not an image"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not an image"),
    "animated": (encoded(pixels(0), save_all=True, append_images=[pixels(1)]), "2 frames"),
    "not-square": (encoded(pixels(0).crop((0, 0, 8, 4))), "8 x 4"),
    "other-size": (encoded(pixels(0, side=12)), "12 x 12"),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_bad_images_are_refused_by_name(tmp_path, kind):
    data, word = BAD_IMAGES[kind]
    files = small() | {"train/b/bad one.png": data}
    refused_source(write_tar(tmp_path / "some.tar", files), "train/b/bad one.png", word)
    refused_source(write_folder(tmp_path / "some", files), "train/b/bad one.png", word)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_bytes_are_an_image_or_refused(data):
    sound = data.draw(
        st.sampled_from([b"", *(encoded(pixels(0), form) for form in ("PNG", "JPEG", "BMP", "PPM", "WEBP"))])
    )
    damaged = bytearray(sound or data.draw(st.binary(max_size=200)))
    for place in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=6)) if damaged else []:
        damaged[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    with contextlib.suppress(DataError), warnings.catch_warnings():
        warnings.simplefilter("error")
        resize = data.draw(st.sampled_from([None, 8]))
        found = decode(bytes(damaged[:cut] if data.draw(st.booleans()) else damaged), name="x", resize=resize).pixels
        assert found.shape == (len(found), len(found), 3) and found.dtype == np.uint8
        assert resize is None or len(found) == resize
