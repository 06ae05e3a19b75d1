"""Any class-per-folder directory, tar or zip with train/ and test/, decoded once into a cached array file."""

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from hybridsep.data import cache as stored_arrays
from hybridsep.data.dataset import Dataset, Part
from hybridsep.data.images import DecodedImage, decode
from hybridsep.data.layout import PARTS, Contents, Place, listed
from hybridsep.data.source import Entry, Source
from hybridsep.errors import DataError
from hybridsep.runs import machine, stop
from hybridsep.runs.seeds import stream
from hybridsep.runs.waiting import held_in

_FORMAT = 1  # part of the cache's name: raise it whenever the same files would give other arrays
_MAX_DECODED = 8 << 30  # bytes of all images decoded
_MAX_FILE = 1 << 20  # bytes of one image file
_MAX_LARGE_FILE = 64 << 20  # of one that is made small
_CHUNK = 128  # files decoded by a thread at a time

Item = tuple[str, str, np.ndarray]  # class, file name, pixels


def load(
    *,
    path: str | os.PathLike[str],
    cache: str | os.PathLike[str],
    name: str,
    title: str,
    resize: int | None = None,
    hold_out: float | None = None,
) -> Dataset:
    """Return the images at `path`: a directory, tar (plain, gz, xz, bz2) or zip of train/CLASS/FILE, test/CLASS/FILE.

    The classes are the sorted folder names; the images are in the order of class, then file name, so a directory and
    an archive of it give the same arrays. `resize` makes images of any size squares of so many pixels a side
    (`images.decode`); `hold_out` is the share of each class in train/ that becomes the test part where there is no
    test/. They are kept in the folder `cache` under a name that carries the source's fingerprint, and checked against
    their own hash whenever they are read. Raises DataError naming the file at fault.
    """
    if not path:
        raise DataError("data.path is empty: give a directory or tar with train/CLASS/FILE and test/CLASS/FILE")
    source = Source(Path(path).expanduser(), max_file=_MAX_FILE if resize is None else _MAX_LARGE_FILE)
    options = "".join(f"-{key}{value}" for key, value in (("side", resize), ("split", hold_out)) if value is not None)
    fingerprint = source.fingerprint()
    folder = Path(cache).expanduser()
    stored = folder / f"{source.path.name.split('.')[0]}-{fingerprint[:20]}{options}-{_FORMAT}.npz"

    def decoded() -> Dataset:
        dataset = _decoded(source, name, title, resize, hold_out)
        if source.fingerprint() != fingerprint:
            raise DataError(f"data.path={source.path} was changed while it was read: start again")
        return dataset

    kept = stored_arrays.read(stored, name=name, title=title)
    if isinstance(kept, Dataset):
        return kept
    dataset = None
    try:
        with held_in(folder, f"{stored.stem}.lock", f"the decoded images of {source.path}"):
            kept = stored_arrays.read(stored, name=name, title=title)
            if isinstance(kept, Dataset):
                return kept
            if stored.exists():
                _say(f"{stored} is damaged ({kept}); decoding the images again")
            dataset = decoded()
            stored_arrays.write(stored, dataset)
    except OSError as error:
        _say(f"cannot keep decoded images in {folder} ({error.strerror or error}); going on without")
    return dataset or decoded()


def _decoded(source: Source, name: str, title: str, resize: int | None, hold_out: float | None) -> Dataset:
    contents = Contents()
    parts: dict[str, list[Item]] = {part: [] for part in PARTS}
    side, total, transparent = None, 0, 0
    with _progress(f"decoding {source.path}") as advance:
        for place, file, image in _images(source.entries(contents, advance), resize):
            stop.check()
            side, total = side or len(image.pixels), total + image.pixels.nbytes
            if len(image.pixels) != side:
                size = f"{len(image.pixels)} x {len(image.pixels)}"
                raise DataError(
                    f"{file} is {size} pixels, the images before it {side} x {side}: one size is needed;"
                    f" data.side={side - side % 4 or 4} brings all to one"
                )
            if total > _MAX_DECODED:
                raise DataError(
                    f"data.path={source.path} decodes to more than {_MAX_DECODED >> 30} GiB: it must fit in memory"
                )
            transparent += image.transparent
            parts[place.part].append((place.label, place.file, image.pixels))
    if side and side % 4:
        raise DataError(
            f"data.path={source.path}: images are {side} pixels a side, which is not divisible by 4;"
            f" data.side={side - side % 4 or 4} resizes them"
        )
    classes = _classes(source.path, contents, hold_out)
    for part in PARTS if hold_out is None else PARTS[:1]:
        if empty := sorted({*classes} - {label for label, _, _ in parts[part]}):
            folders = listed(f"{part}/{label}" for label in empty)
            raise DataError(f"data.path={source.path}: no image in {folders}; every class needs one")
    if transparent:
        _say(f"{source.path}: images with transparency laid onto white: {transparent:,}")
    if not_read := contents.not_read():
        _say(f"{source.path}: not read, because no image of train/ or test/: {not_read}")
    if hold_out is not None:
        parts["train"], parts["test"] = _split(source.path, parts["train"], classes, hold_out)
    return Dataset(name, title, *_arrays(parts["train"], classes), *_arrays(parts["test"], classes), classes)


def _arrays(items: list[Item], classes: tuple[str, ...]) -> Part:
    """Return the items as arrays, sorted by class and file name, and empty the list: both would be too much memory."""
    items.sort(key=lambda item: item[:2])
    images = np.stack([image for _, _, image in items])
    labels = np.array([classes.index(label) for label, _, _ in items], dtype=np.int64)
    items.clear()
    return Part(images, labels)


def _images(entries: Iterator[Entry], resize: int | None) -> Iterator[tuple[Place, str, DecodedImage]]:
    """Decode on all cores, in order.

    In threads, because Pillow lets the others run while it decodes, and an archive is read on beside.
    """

    def chunk(some: list[Entry]) -> list[tuple[Place, str, DecodedImage]]:
        return [(entry.place, entry.name, decode(entry.data, name=entry.name, resize=resize)) for entry in some]

    with ThreadPoolExecutor(machine.cores()) as pool:
        waiting: deque[Future[list[tuple[Place, str, DecodedImage]]]] = deque()
        try:
            while some := list(islice(entries, _CHUNK)):
                waiting.append(pool.submit(chunk, some))
                if len(waiting) > 2 * machine.cores():
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _classes(path: Path, contents: Contents, hold_out: float | None) -> tuple[str, ...]:
    """Return the classes, sorted. Raises DataError when a part is missing, or the parts have other classes."""
    labels = {part: {label for of, label in contents.folders if of == part} for part in PARTS}
    there = contents.others()
    others = f"; there is {listed(there)}" if there else ""
    if misspelt := [name for name in there if name != name.lower() and name.lower().rstrip("/") in PARTS]:
        others += f", and {listed(misspelt)} must be called in lower case"
    if not labels["train"]:
        none = "no train/, only test/," if labels["test"] else "no train/CLASS/FILE and no test/CLASS/FILE"
        raise DataError(f"data.path={path}: {none} in it{others}")
    if hold_out is not None:
        if labels["test"]:
            raise DataError(f"data.split={hold_out:g} is for images without test/, and data.path={path} has one")
        return tuple(sorted(labels["train"]))
    if not labels["test"]:
        raise DataError(f"data.path={path}: no test/ in it{others}; data.split=0.2 holds out a fifth of train/ for it")
    if labels["train"] != labels["test"]:
        only = [
            f"only in {part}/ {listed(sorted(labels[part] - labels[other]))}"
            for part, other in (PARTS, PARTS[::-1])
            if labels[part] - labels[other]
        ]
        raise DataError(f"data.path={path}: train/ and test/ must have the same classes, but {'; '.join(only)}")
    return tuple(sorted(labels["train"]))


def _split(path: Path, items: list[Item], classes: tuple[str, ...], share: float) -> tuple[list[Item], list[Item]]:
    """Return training and test items: `share` of each class, at least one image, drawn by class and file names."""
    kept, held_out = [], []
    for label in classes:
        of_class = sorted((item for item in items if item[0] == label), key=lambda item: item[1])
        count = max(1, round(share * len(of_class)))
        if count >= len(of_class):
            raise DataError(
                f"data.path={path}: train/{label} has {len(of_class)} images, too few for data.split={share:g}"
            )
        chosen = set(stream(0, "split", label).permutation(len(of_class))[:count].tolist())
        kept += [item for number, item in enumerate(of_class) if number not in chosen]
        held_out += [item for number, item in enumerate(of_class) if number in chosen]
    return kept, held_out


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Callable[[float], None]]:
    """Show a bar on a terminal, one line elsewhere; the function it gives takes the share that is done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        _say(what)
        yield lambda share: None
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda share: progress.update(task, completed=share)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
