"""The run folder `results/runs/<study>/<row>/trial-03/`: what is in it, atomic writes, locks, reading.

record.json (what was run, with what, and how it ended), history.csv (a row per epoch) and predictions.npz (the logits
of every test image after the last epoch) are for people and for the report; checkpoint.pt belongs to `train/`. Every
file is written beside its place and renamed, so a reader sees the old file or the new one and never a part.
"""

import contextlib
import csv
import io
import json
import math
import os
import re
import threading
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import astuple, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from hybridsep.errors import RecordError
from hybridsep.runs import record

if TYPE_CHECKING:
    import pandas

FORMAT = 1
HISTORY_COLUMNS = tuple(field.name for field in fields(record.Epoch))
TEMPORARY = ".writing-"  # how the name of a half-written file begins
# NumPy reads an array's header with `ast`, which in two threads at once fails now and then on Python 3.11 (gh-106905).
_PARSING = threading.Lock()
_MAX_PREDICTIONS = 1 << 30  # bytes; 50,000 images of 1,000 classes are a tenth of it


def study_folder(results: Path, study: str) -> Path:
    """Return the folder of a study's rows."""
    return results / "runs" / study


def run_folder(results: Path, study: str, row: str, trial: int) -> Path:
    """Return the folder of one trial; `trial-03` sorts before `trial-10`."""
    return study_folder(results, study) / row / f"trial-{trial:02d}"


def find(results: Path) -> list[Path]:
    """Return every run folder under `results`, sorted; also those without record.json (being born, or broken)."""
    folders = (path for path in (results / "runs").glob("*/*/trial-*") if path.is_dir())
    return sorted(folders, key=lambda path: (path.parts[-3], path.parts[-2], len(path.name), path.name))


def lock(folder: Path) -> FileLock:
    """Return the lock of one trial's folder, or of another folder of a row.

    The operating system frees it when its owner dies, so a stale file harms nobody.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(lock_file(folder))


def lock_file(folder: Path) -> Path:
    """Return the file of a folder's lock."""
    return folder.parent / f".{folder.name}.lock"


def write_atomically(path: Path, content: bytes, *, keep: Path | None = None) -> None:
    """Replace `path` durably: written beside it, flushed to disk, renamed. On OSError what was there still is.

    With `keep` the old file is renamed to it. A process that dies just then leaves the old file under that name only.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if hasattr(os, "O_DIRECTORY"):
        directory = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def remove_leftovers(folder: Path) -> None:
    """Remove the half-written files of a process that was killed; call it while holding the trial's lock."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink()


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Write record.json. Not-a-number is refused (ValueError): JSON has none, and a record must be readable."""
    text = json.dumps({"format": FORMAT, **content}, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    # A title typed in another encoding holds lone surrogates; written as JSON's own escapes they survive.
    write_atomically(folder / "record.json", f"{text}\n".encode(errors="backslashreplace"))


def load(folder: Path) -> record.Record:
    """Return record.json of `folder`. Raises RecordError that names the folder and the first key that is wrong.

    A lone surrogate is "?" in its texts, which go into files of UTF-8; `config`, whose identity is checked, keeps it.
    """
    try:
        raw = json.loads((folder / "record.json").read_bytes(), parse_float=_finite, parse_constant=_finite)
    except FileNotFoundError:
        raise RecordError(f"{folder}: no record.json; not a run, or a copy cut short") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{folder}: record.json cannot be read ({_first_line(error)})") from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise RecordError(f"{folder}: record.json is not of format {FORMAT}, the one this version reads")
    try:
        # As JSON, in which lists are tuples and objects dataclasses, and text is no number.
        text = json.dumps({**raw, "settings": raw.get("config")}, ensure_ascii=False).encode(errors="replace")
        checked = replace(record.adapter().validate_json(text, strict=True), config=raw["config"])
    except ValueError as error:
        raise RecordError(f"{folder}: record.json has no valid {first_key(error)}") from None
    place = (checked.study, checked.row, f"trial-{checked.trial:02d}")
    if place != folder.absolute().parts[-3:]:
        raise RecordError(f"{folder}: record.json belongs to {'/'.join(place)!r:.120}; was the folder moved or copied?")
    if checked.status == record.State.FINISHED and (
        checked.result is None or checked.timings.train_images_per_second is None
    ):
        raise RecordError(f"{folder}: record.json says finished but has no result")
    return checked


def first_key(error: ValueError) -> str:
    """Name the first wrong key of a record and what is wrong with it, in one printable line."""
    first = error.errors()[0] if hasattr(error, "errors") else {"loc": ("text",), "msg": str(error)}
    key = ".".join(map(str, first["loc"])).removeprefix("settings.") or "text"
    return ascii(f"{key}: {first['msg']}"[:200])[1:-1]


def history_bytes(epochs: Iterable[record.Epoch]) -> bytes:
    """Return history.csv; floats with nine significant digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HISTORY_COLUMNS)
    for epoch in epochs:
        writer.writerow([f"{value:.9g}" if isinstance(value, float) else value for value in astuple(epoch)])
    return text.getvalue().encode()


def read_history(folder: Path) -> "pandas.DataFrame":
    """Return history.csv as a frame with HISTORY_COLUMNS. Raises RecordError naming the folder."""
    import pandas

    try:
        content = (folder / "history.csv").read_bytes()
        frame = pandas.read_csv(io.BytesIO(content), low_memory=False)
    except FileNotFoundError:
        raise RecordError(f"{folder}: no history.csv") from None
    except Exception as error:  # pandas raises many types on damaged bytes
        raise RecordError(f"{folder}: history.csv cannot be read ({_first_line(error)})") from None
    # A row longer than the header makes pandas take the first column for an index, and shifts all others.
    named = tuple(frame.columns) == HISTORY_COLUMNS and isinstance(frame.index, pandas.RangeIndex)
    if not named or not len(frame) or any(kind.kind not in "iuf" for kind in frame.dtypes):
        raise RecordError(f"{folder}: history.csv does not have the columns {', '.join(HISTORY_COLUMNS)} and a row")
    if not np.isfinite(frame.to_numpy(np.float64)).all() or list(frame["epoch"]) != list(range(1, len(frame) + 1)):
        raise RecordError(f"{folder}: history.csv is not one row of numbers for each epoch from 1")
    return frame


def predictions_bytes(logits: np.ndarray, labels: np.ndarray) -> bytes:
    """Return predictions.npz: `logits` (images, classes) float16 and `labels` (images,), in dataset order.

    Labels are unsigned integers of as many bytes as the number of classes needs: one up to 256.
    """
    buffer = io.BytesIO()
    # Values beyond float16's range are clipped: an infinite logit would make every later comparison meaningless.
    limit = np.finfo(np.float16).max
    width = np.min_scalar_type(logits.shape[1] - 1)
    np.savez_compressed(buffer, logits=np.clip(logits, -limit, limit).astype(np.float16), labels=labels.astype(width))
    return buffer.getvalue()


def read_predictions(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return `(logits float16 (images, classes), labels unsigned (images,))`. Raises RecordError naming the folder."""
    path = folder / "predictions.npz"
    try:
        with zipfile.ZipFile(path) as members:
            size = sum(member.file_size for member in members.infolist())
            if size > _MAX_PREDICTIONS:
                raise ValueError(f"{size} bytes when unpacked, allowed are {_MAX_PREDICTIONS}")
            unpacked = [io.BytesIO(members.read(f"{name}.npy")) for name in ("logits", "labels")]
        with _PARSING:
            logits, labels = (np.lib.format.read_array(content, allow_pickle=False) for content in unpacked)
    except FileNotFoundError:
        raise RecordError(f"{folder}: no predictions.npz") from None
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen unrelated types on damaged bytes
        raise RecordError(f"{folder}: predictions.npz cannot be read ({_first_line(error)})") from None
    shapes_fit = logits.ndim == 2 and labels.shape == logits.shape[:1] and len(labels) > 0
    if not shapes_fit or logits.dtype != np.float16 or labels.dtype.kind != "u" or labels.max() >= logits.shape[1]:
        raise RecordError(f"{folder}: predictions.npz does not hold float16 logits (images, classes) and their labels")
    return logits, labels


def _finite(text: str) -> float:
    """Return a number of JSON. Python's reader would take NaN, Infinity and 1e999, which cannot be written again."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _first_line(error: BaseException) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()[:200] or type(error).__name__
