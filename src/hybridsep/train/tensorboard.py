"""TensorBoard: the curves of one trial, written so that a resumed run leaves one clean line."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hybridsep.runs import events
from hybridsep.runs.record import Epoch

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary


class Curves:
    """The event file in a trial's folder, made anew from the history when a run begins or resumes.

    So a killed run leaves no point twice and no line that doubles back: the curve is the history, epoch by epoch. The
    file of an earlier start is emptied and not removed, so that an open TensorBoard goes on from it to the new one.
    `opening` stands before it. Raises OSError when the folder cannot be written.
    """

    def __init__(self, folder: Path, history: Sequence[Epoch], opening: Iterable["Summary"]):
        earlier = list(folder.glob(events.PATTERN))
        self._file = events.EventFile(folder / events.file_name())
        try:
            for summary in opening:
                self._file.add(summary)
            for epoch in history:
                self._add(epoch)
            self._file.flush()
            events.retire(earlier)
        except BaseException:
            self.close()
            raise

    def add(self, epochs: Iterable[Epoch]) -> None:
        """Add the points of these epochs, durably."""
        for epoch in epochs:
            self._add(epoch)
        self._file.flush()

    def finish(self, summaries: Iterable["Summary"], *, epoch: int) -> None:
        """Add what is known after the last epoch, durably."""
        for summary in summaries:
            self._file.add(summary, step=epoch)
        self._file.flush()

    def close(self) -> None:
        """Close the file; nothing is written that was not durable before."""
        self._file.close()

    def _add(self, epoch: Epoch) -> None:
        points = events.scalars({tag: getattr(epoch, key) for key, tag in events.TAGS.items()})
        self._file.add(points, step=epoch.epoch)
