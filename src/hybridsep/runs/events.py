"""TensorBoard's event files, written by our own hand, and what goes into them.

SummaryWriter writes from a thread, which on a full disk prints a traceback and can lose points in silence.
TensorBoard's modules are imported where they are used, because that takes a second. Nothing here imports torch.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

# The tag under which each column of a history is drawn, of a trial and of the mean over trials alike.
TAGS = {
    "train_loss": "loss/train",
    "test_loss": "loss/test",
    "train_error": "error/train",
    "test_error": "error/test",
    "learning_rate": "learning rate",
    "images_per_second": "speed/images per second",
}
PATTERN = "*tfevents*"
_KEPT = 600  # seconds; an open TensorBoard looks every five


def file_name() -> str:
    """Return the name of a new event file; TensorBoard reads the files of a folder in the order of their names."""
    return f"events.out.tfevents.{time.time():.6f}"


def retire(files: Iterable[Path]) -> None:
    """Empty event files that have a successor, and remove those that were emptied a while ago.

    TensorBoard's reader in Python, which serves where its data server is not installed, goes on to the next file only
    from one that is still there; the data server takes either.
    """
    for path in files:
        about = path.stat()
        if about.st_size:
            os.truncate(path, 0)
        elif time.time() - about.st_mtime > _KEPT:
            path.unlink()


class EventFile:
    """A new event file at `path`. Raises OSError, also later, when it cannot be written.

    It begins with the mark of a new start at step 0: a TensorBoard that has read an earlier file of the folder forgets
    those points, so a line that is written anew does not double back.
    """

    def __init__(self, path: Path):
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._file = open(path, "wb")
        try:
            self._records = RecordWriter(self._file)
            self._write(file_version="brain.Event:2")
            self._write(session_log=SessionLog(status=SessionLog.START))
        except BaseException:
            self.close()
            raise

    def add(self, summary: "Summary", *, step: int = 0) -> None:
        """Add a summary; it is safe after the next `flush`."""
        self._write(summary=summary, step=step)

    def flush(self) -> None:
        """Bring what was added to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file. What could not be written before is not written now either; its error has been raised."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self, **content: object) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._records.write(Event(wall_time=time.time(), **content).SerializeToString())


def scalars(values: Mapping[str, float]) -> "Summary":
    """Return the summary of one point of each tag."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])


def text(tag: str, markdown: str) -> "Summary":
    """Return the summary of a text in Markdown."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text import metadata

    about = metadata.create_summary_metadata(display_name=None, description=None)
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=_strings(markdown.encode()))])


def image(tag: str, png: bytes, *, height: int, width: int, description: str) -> "Summary":
    """Return the summary of a picture, given as the bytes of a PNG file."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.image import metadata

    about = metadata.create_summary_metadata(display_name=tag, description=description)
    tensor = _strings(str(width).encode(), str(height).encode(), png)
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=tensor)])


def layout(category: str, charts: Mapping[str, tuple[str, str, str]]) -> "Summary":
    """Return the layout of the custom scalars: a category of margin charts `{title: tags of (value, lower, upper)}`."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    def chart(title: str, tags: tuple[str, str, str]) -> layout_pb2.Chart:
        value, lower, upper = tags
        series = layout_pb2.MarginChartContent.Series(value=value, lower=lower, upper=upper)
        return layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series]))

    drawn = [chart(title, tags) for title, tags in charts.items()]
    content = layout_pb2.Layout(category=[layout_pb2.Category(title=category, chart=drawn)]).SerializeToString()
    about = metadata.create_summary_metadata()
    tag = metadata.CONFIG_SUMMARY_TAG
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=_strings(content))])


def _strings(*content: bytes) -> "TensorProto":
    """Return a tensor of these strings, a scalar of a single one."""
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(content))] if len(content) > 1 else [])
    return TensorProto(dtype=DT_STRING, string_val=content, tensor_shape=shape)
