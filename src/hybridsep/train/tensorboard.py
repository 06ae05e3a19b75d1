"""TensorBoard: the curves of one trial, written so that a resumed run leaves one clean line."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridsep.runs import events

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary


class Curves:
    """The event file in a trial's folder, made anew from the history when a run begins or resumes.

    So a killed run leaves no point twice and no line that doubles back: the curve is the history, epoch by epoch.
    `opening` stands before it. Raises OSError when the folder cannot be written.
    """

    def __init__(self, folder: Path, history: Sequence[Mapping[str, Any]], opening: Iterable["Summary"]):
        _remove_old(folder)
        self._file = events.EventFile(folder / events.file_name())
        try:
            for summary in opening:
                self._file.add(summary)
            for row in history:
                self._add_row(row)
            self._file.flush()
        except BaseException:
            self.close()
            raise

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the points of one epoch, durably."""
        self._add_row(row)
        self._file.flush()

    def finish(self, summaries: Iterable["Summary"], *, epoch: int) -> None:
        """Add what is known after the last epoch, durably."""
        for summary in summaries:
            self._file.add(summary, step=epoch)
        self._file.flush()

    def close(self) -> None:
        """Close the file; nothing is written that was not durable before."""
        self._file.close()

    def _add_row(self, row: Mapping[str, Any]) -> None:
        self._file.add(events.scalars({tag: row[key] for key, tag in events.TAGS.items()}), step=row["epoch"])


def _remove_old(folder: Path) -> None:
    """Remove the event files of earlier starts, also from the subfolder in which earlier versions kept them."""
    earlier = folder / "tensorboard"
    for old in (*folder.glob(events.PATTERN), *earlier.glob(events.PATTERN)):
        old.unlink()
    if earlier.is_dir() and not any(earlier.iterdir()):
        earlier.rmdir()
