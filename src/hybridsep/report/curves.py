"""`curves`: for each row of a study a run `ROW/mean` for TensorBoard, the mean over its trials with a band.

It is made from the histories alone, so it can be made while a study runs and again at any time.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from filelock import Timeout

from hybridsep.errors import RecordError
from hybridsep.runs import events, records

NAME = "mean"
# The columns of a history that are averaged; those in _BANDS also get a band.
_COLUMNS = ("train_loss", "test_loss", "train_error", "test_error")
_BANDS = {"test_error": "test error", "train_error": "train error"}
_CATEGORY = "Mean over trials ± one standard deviation"
_TEXT = """\
Mean of {trials}, made by `python -m hybridsep.report curves` from their `history.csv`. At each epoch the mean is over
the trials that have it, so it can jump where one ends. The band in Custom Scalars is the mean ± one
standard deviation over trials (n - 1 in the denominator); where only one trial has the epoch, it has no width.
"""
_VERSION = "1"  # of what is made from the histories: with another one all rows are written anew


@dataclass
class Update:
    """What `write` did: the rows that have curves, those of them that were `changed`, and what could not be read."""

    study: str
    rows: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The same in a line for people."""
        return f"{self.study}: {len(self.rows)} rows, written anew: {', '.join(self.changed) or 'none'}"


def write(results: Path, study: str) -> Update:
    """Bring `ROW/mean` of every row of a study up to date; a row whose histories did not change is left as it is.

    Raises RecordError when a file cannot be written.
    """
    written = Update(study)
    rows: dict[Path, list[Path]] = {}
    for folder in records.find(results):
        if folder.parts[-3] == study:
            rows.setdefault(folder.parent, []).append(folder)
    for row, folders in rows.items():
        histories = []
        for folder in folders:
            try:
                histories.append((folder.name, _history(folder)))
            except FileNotFoundError:
                continue  # in its first epoch
            except RecordError as error:
                written.problems.append(str(error))
        if histories:
            written.rows.append(row.name)
            try:
                if _write_row(row / NAME, dict(histories)):
                    written.changed.append(row.name)
            except OSError as error:
                raise RecordError(f"results={results} cannot be written: {error}") from None
    return written


def mean_and_deviation(curves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and sample standard deviation at each epoch of the curves that reach it; of a single one 0."""
    epochs = max(map(len, curves))
    values = np.full((len(curves), epochs), np.nan)
    for line, curve in zip(values, curves, strict=True):
        line[: len(curve)] = curve
    reached = [column[np.isfinite(column)] for column in values.T]
    deviations = [column.std(ddof=1) if len(column) > 1 else 0.0 for column in reached]
    return np.array([column.mean() for column in reached]), np.array(deviations)


def _history(folder: Path) -> dict[str, np.ndarray]:
    """Return the averaged columns of a trial's history. Raises FileNotFoundError, or RecordError for a damaged one."""
    if not (folder / "history.csv").exists():
        raise FileNotFoundError(folder / "history.csv")
    frame = records.read_history(folder)
    return {column: frame[column].to_numpy(np.float64) for column in _COLUMNS}


def _write_row(folder: Path, histories: dict[str, dict[str, np.ndarray]]) -> bool:
    """Write the event file of a row's mean; return False when the one that is there says the same."""
    digest = _digest(histories)
    if _up_to_date(folder, digest):
        return False
    try:
        with records.lock(folder).acquire(blocking=False):
            folder.mkdir(exist_ok=True)
            records.remove_leftovers(folder)
            old = list(folder.glob(events.PATTERN))
            # Not under an event file's name: TensorBoard would read it half-written.
            temporary = folder / f"{records.TEMPORARY}{NAME}"
            _write_events(temporary, histories)
            os.replace(temporary, folder / f"{events.file_name()}.{digest}")
            events.retire(old)
    except Timeout:
        return False  # another process writes it just now
    return True


def _up_to_date(folder: Path, digest: str) -> bool:
    files = [path for path in folder.glob(events.PATTERN) if path.stat().st_size]
    return len(files) == 1 and files[0].suffix == f".{digest}"


def _digest(histories: dict[str, dict[str, np.ndarray]]) -> str:
    """Return what stands at the end of an event file's name to tell from which histories it was made."""
    digest = hashlib.sha256(_VERSION.encode())
    for trial, history in histories.items():
        digest.update(trial.encode())
        for values in history.values():
            digest.update(values.tobytes())
    return digest.hexdigest()[:16]


def _write_events(path: Path, histories: dict[str, dict[str, np.ndarray]]) -> None:
    bands = {
        column: (f"mean of trials/{title}", f"mean of trials/{title}, lower", f"mean of trials/{title}, upper")
        for column, title in _BANDS.items()
    }
    points: dict[str, np.ndarray] = {}
    for column in _COLUMNS:
        mean, deviation = mean_and_deviation([history[column] for history in histories.values()])
        points[events.TAGS[column]] = mean
        if column in bands:
            # The mean once more under a tag of its own: trials have none, and a margin chart of some tags complains.
            points |= dict(zip(bands[column], (mean, mean - deviation, mean + deviation), strict=True))
    file = events.EventFile(path)
    try:
        file.add(events.layout(_CATEGORY, {f"{title}, %": bands[column] for column, title in _BANDS.items()}))
        file.add(events.text("mean", _TEXT.format(trials=", ".join(histories))))
        for epoch, values in enumerate(zip(*points.values(), strict=True), 1):
            file.add(events.scalars(dict(zip(points, values, strict=True))), step=epoch)
        file.flush()
    finally:
        file.close()
