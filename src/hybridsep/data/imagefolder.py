"""Any class-per-folder directory or tar with train/ and test/, decoded once into a cached array file."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from hybridsep.data.archive import entries, fingerprint
from hybridsep.data.dataset import Dataset
from hybridsep.data.images import decode
from hybridsep.data.lock import held
from hybridsep.errors import DataError

_FORMAT = 1  # part of the cache's name: raise it whenever the same files would give other arrays
_MAX_DECODED = 8 << 30  # bytes of all images decoded


def load(*, path: str | os.PathLike, cache: str | os.PathLike, name: str, title: str) -> Dataset:
    """Return the images at `path`, a directory or tar (plain, gz, xz, bz2) with train/CLASS/FILE and test/CLASS/FILE.

    The classes are the sorted folder names; the images are in the order of class, then file name, so a directory and a
    tar of it give the same arrays. They are kept in the folder `cache` under a name that carries the source's
    fingerprint, and checked against their own hash whenever they are read. Raises DataError naming the file at fault.
    """
    if not path:
        raise DataError("data.path is empty: give a directory or tar with train/CLASS/FILE and test/CLASS/FILE")
    path, cache = Path(path).expanduser(), Path(cache).expanduser()
    stored = cache / f"{path.name.split('.')[0]}-{fingerprint(path)[:20]}-{_FORMAT}.npz"
    kept = _read(stored, name, title)
    if isinstance(kept, Dataset):
        return kept
    try:
        with held(cache, f"{stored.stem}.lock"):
            kept = _read(stored, name, title)
            if isinstance(kept, Dataset):
                return kept
            if stored.exists():
                _say(f"{stored} is damaged ({kept}); decoding the images again")
            return _write(stored, _decoded(path, name, title))
    except OSError as error:
        _say(f"cannot keep decoded images in {cache} ({error.strerror or error}); going on without")
    return _decoded(path, name, title)


def _read(stored: Path, name: str, title: str) -> Dataset | str:
    """Return the stored dataset, or why there is none."""
    try:
        with stored.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            kept = {key: arrays[key] for key in ("train_images", "train_labels", "test_images", "test_labels")}
            classes, sha256 = tuple(arrays["classes"].tolist()), str(arrays["sha256"])
        dataset = Dataset(name=name, title=title, classes=classes, **kept)
    except Exception as error:  # a damaged zip or array raises any of a dozen types, all with one cure
        return " ".join(str(error).split()) or type(error).__name__
    return dataset if dataset.sha256 == sha256 else "its content is not what was written"


def _write(stored: Path, dataset: Dataset) -> Dataset:
    """Store a dataset whole or not at all. The caller holds the lock, so a killed run's partial file is overwritten."""
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
    except OSError as error:
        _say(f"cannot keep decoded images in {stored} ({error.strerror or error}); going on without")
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return dataset


def _decoded(path: Path, name: str, title: str) -> Dataset:
    parts: dict[str, list[tuple[str, str, np.ndarray]]] = {"train": [], "test": []}
    side, total = None, 0
    with _progress(f"decoding {path}") as advance:
        for entry in entries(path, advance):
            image = decode(entry.data, name=entry.name, side=side)
            side, total = len(image), total + image.nbytes
            if total > _MAX_DECODED:
                raise DataError(
                    f"data.path={path} decodes to more than {_MAX_DECODED >> 30} GiB: it must fit in memory"
                )
            parts[entry.place.part].append((entry.place.label, entry.place.file, image))
    labels = {part: sorted({label for label, _, _ in items}) for part, items in parts.items()}
    if labels["train"] != labels["test"]:
        odd = sorted(set(labels["train"]) ^ set(labels["test"]))
        raise DataError(f"data.path={path}: train/ and test/ must have the same classes, {odd[0]!r} is in one of them")
    arrays = {}
    for part, items in parts.items():
        items.sort(key=lambda item: item[:2])
        arrays[f"{part}_images"] = np.stack([image for _, _, image in items])
        codes = [labels["train"].index(label) for label, _, _ in items]
        arrays[f"{part}_labels"] = np.array(codes, dtype=np.int64)
        items.clear()
    return Dataset(name=name, title=title, classes=tuple(labels["train"]), **arrays)


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
