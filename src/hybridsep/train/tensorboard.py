"""TensorBoard: the curves of one trial, written so that a resumed run leaves one clean line."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_CURVES = (
    ("loss/train", "train_loss"),
    ("loss/test", "test_loss"),
    ("error/train", "train_error"),
    ("error/test", "test_error"),
    ("learning rate", "learning_rate"),
    ("speed/images per second", "images_per_second"),
)


class Curves:
    """The TensorBoard folder of one trial, made anew from the history when a run begins or resumes.

    So a killed run leaves no point twice and no line that doubles back: the curve is the history, epoch by epoch.
    Raises OSError when the folder cannot be written.
    """

    def __init__(self, folder: Path, history: Sequence[Mapping[str, Any]], hyperparameters: Mapping[str, Any]):
        # Imported here because it takes a second, and only training needs it. The records are written by our own hand:
        # SummaryWriter writes from a thread, which on a full disk prints a traceback and can lose points in silence.
        from tensorboard.summary.writer.record_writer import RecordWriter
        from torch.utils.tensorboard.summary import hparams

        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*tfevents*"):
            old.unlink()
        self._file = open(folder / f"events.out.tfevents.{time.time():.6f}", "wb")
        try:
            self._records = RecordWriter(self._file)
            self._write(file_version="brain.Event:2")
            flat = {
                key: value if isinstance(value, int | float | str) else str(value)
                for key, value in hyperparameters.items()
            }
            for summary in hparams(flat, {"error/test": 0.0}):
                self._write(summary=summary)
            for row in history:
                self._write_row(row)
            self._flush()
        except BaseException:
            self.close()
            raise

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the points of one epoch, durably."""
        self._write_row(row)
        self._flush()

    def close(self) -> None:
        # What `add` could not write then is not written now either; the error has been raised.
        with contextlib.suppress(OSError):
            self._file.close()

    def _write_row(self, row: Mapping[str, Any]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=row[key]) for tag, key in _CURVES]
        self._write(summary=Summary(value=values), step=row["epoch"])

    def _write(self, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._records.write(Event(wall_time=time.time(), **content).SerializeToString())

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
