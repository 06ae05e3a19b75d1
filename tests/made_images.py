"""Images, archives and folders of images that tests make, and how they are loaded."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from refusals import refused

from hybridsep.data import Dataset, imagefolder
from hybridsep.errors import DataError
from hybridsep.runs.seeds import stream


def pixels(seed: int, side: int = 8, mode: str = "RGB") -> Image.Image:
    values = stream(seed, "test").integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def small(side: int = 8) -> dict[str, bytes]:
    """Two classes, three training and one test image each."""
    names = [f"{part}/{label}/{n}.png" for part, k in (("train", 3), ("test", 1)) for label in "ab" for n in range(k)]
    return {name: encoded(pixels(number, side)) for number, name in enumerate(names)}


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w", extra: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in extra:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def write_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def load(path: Path, cache: Path | None = None) -> Dataset:
    return imagefolder.load(path=path, cache=cache or path.parent / "cache", name="some", title="Some")


def refused_source(path: Path, *named: str) -> str:
    """The message with which a source is refused: one line with these names, and nothing is written anywhere."""
    before = sorted(path.parent.rglob("*"))
    with refused(*named, kind=DataError) as caught:
        load(path)
    assert sorted(path.parent.rglob("*")) == before
    return str(caught.value)


def dataset(**changes) -> Dataset:
    images = np.arange(4 * 8 * 8 * 3, dtype=np.int64).astype(np.uint8).reshape(4, 8, 8, 3)
    fields = {"name": "n", "title": "t", "train_images": images, "train_labels": np.array([0, 1, 0, 1])}
    fields |= {"test_images": images[:2].copy(), "test_labels": np.array([1, 0]), "classes": ("a", "b")}
    return Dataset(**fields | changes)


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


class Bomb:
    """An object whose unpickling leaves a file behind."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return Path.touch, (self.folder / "exploded",)
