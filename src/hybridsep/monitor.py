"""What a person sees of a running study: progress bars on a terminal, readable lines elsewhere, TensorBoard."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_EVERY_SECONDS = 10.0
_CURVES = (
    ("loss/train", "train_loss"),
    ("loss/test", "test_loss"),
    ("error/train", "train_error"),
    ("error/test", "test_error"),
    ("learning rate", "learning_rate"),
    ("speed/images per second", "images_per_second"),
)


class Monitor(Protocol):
    """Told what happens; decides nothing."""

    def begin_study(self, trials: int) -> None: ...
    def begin_trial(self, label: str, epochs: int, done: int, steps: int) -> None: ...
    def step(self, done: int) -> None: ...
    def end_epoch(self, row: Mapping[str, Any]) -> None: ...
    def end_trial(self, line: str, *, trained: bool) -> None: ...
    def say(self, line: str) -> None: ...
    def close(self) -> None: ...


class _Screen(Console):
    """A console that nobody need read: a pipe that was closed ends what is printed, not what is trained."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def monitor() -> Monitor:
    """Return bars when standard error is a terminal, lines otherwise."""
    console = _Screen(stderr=True)
    return Bars(console) if console.is_terminal else Lines()


class Bars:
    """Three bars with time left: the study in trials, the trial in epochs, the epoch in steps."""

    def __init__(self, console: Console):
        # Time left is judged over the last hour of a bar: trials of different models differ in speed.
        self._progress = Progress(
            TextColumn("{task.description:<32}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]:<34}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            speed_estimate_period=3600.0,
        )
        self._study = self._progress.add_task("study, trials", total=None, note="")
        self._trial = self._progress.add_task("", total=None, note="", visible=False)
        self._epoch = self._progress.add_task("  epoch, steps", total=None, note="", visible=False)
        self._whole_trials = 0
        self._progress.start()

    def begin_study(self, trials: int) -> None:
        self._progress.update(self._study, total=trials)

    def begin_trial(self, label: str, epochs: int, done: int, steps: int) -> None:
        self._progress.reset(
            self._trial, total=epochs, completed=done, description=f"{label}, epochs", visible=True, note=""
        )
        self._progress.reset(self._epoch, total=steps, visible=True)
        self._epochs, self._done = epochs, done

    def step(self, done: int) -> None:
        self._progress.update(self._epoch, completed=done)

    def end_epoch(self, row: Mapping[str, Any]) -> None:
        self._done += 1
        self._progress.update(self._trial, completed=self._done, note=_figures(row))
        self._progress.update(self._study, completed=self._whole_trials + self._done / self._epochs)
        self._progress.reset(self._epoch)

    def end_trial(self, line: str, *, trained: bool) -> None:
        self._whole_trials += 1
        self._progress.update(self._study, completed=self._whole_trials)
        self.say(line)

    def say(self, line: str) -> None:
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        for task in (self._trial, self._epoch):
            self._progress.update(task, visible=False)
        self._progress.stop()


class Lines:
    """A line per epoch, at most one in ten seconds, and one per trial; for log files."""

    def __init__(self):
        self._console = _Screen(stderr=True, soft_wrap=True, highlight=False, markup=False, color_system=None)
        self._trials, self._ended, self._last_line = 0, 0, -_LINE_EVERY_SECONDS
        self._trained, self._begun = 0.0, time.monotonic()

    def begin_study(self, trials: int) -> None:
        self._trials = trials

    def begin_trial(self, label: str, epochs: int, done: int, steps: int) -> None:
        self._label, self._epochs, self._done = label, epochs, done
        start = f"from epoch {done + 1} " if done else ""
        self.say(f"{label}: training {start}to epoch {epochs}, {steps} steps each{self._counted(self._ended + 1)}")

    def step(self, done: int) -> None:
        pass

    def end_epoch(self, row: Mapping[str, Any]) -> None:
        self._done += 1
        self._trained += 1 / self._epochs
        if time.monotonic() - self._last_line >= _LINE_EVERY_SECONDS:
            self._last_line = time.monotonic()
            self.say(f"{self._label}: epoch {self._done}/{self._epochs}  {_figures(row)}{self._left()}")

    def end_trial(self, line: str, *, trained: bool) -> None:
        self._ended += 1
        self.say(line + (self._left() if trained else ""))

    def say(self, line: str) -> None:
        # A log file on a full disk, for instance; training goes on, and its own writes tell what is wrong.
        with contextlib.suppress(OSError):
            self._console.print(line)

    def close(self) -> None:
        pass

    def _counted(self, number: int) -> str:
        return f" (trial {number} of {self._trials})" if self._trials > 1 else ""

    def _left(self) -> str:
        current = self._done / self._epochs % 1.0
        remaining = max(0.0, self._trials - self._ended - current)
        if not remaining or not self._trained:
            return ""
        seconds = remaining * (time.monotonic() - self._begun) / self._trained
        return f"  (about {_duration(seconds)} left)"


def _figures(row: Mapping[str, Any]) -> str:
    return f"loss {row['train_loss']:.3f}  test error {row['test_error']:.2f} %  {row['images_per_second']:,.0f} img/s"


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{minutes:.0f} min" if minutes >= 1 else f"{seconds:.0f} s"


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
