"""What a person sees of a running study: progress bars on a terminal, readable lines elsewhere."""

import contextlib
import io
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hybridsep.runs.record import Epoch

_LINE_EVERY_SECONDS = 10.0


class TrialMonitor(Protocol):
    """Told what happens in one trial."""

    def step(self, done: int) -> None: ...
    def end_epoch(self, epoch: Epoch) -> None: ...
    def close(self) -> None: ...


class Monitor(Protocol):
    """Told what happens, by several threads when trials run side by side; decides nothing."""

    def begin_study(self, trials: int) -> None: ...
    def begin_trial(self, label: str, epochs: int, done: int, steps: int) -> TrialMonitor: ...
    def end_trial(self, line: str, *, trained: bool) -> None: ...
    def say(self, line: str) -> None: ...
    def close(self) -> None: ...


class _Unbreakable(io.TextIOBase):
    """Standard error that may be closed, full or hung up: that ends what is said, not what is trained."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding or "ascii"

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
        return len(text)


def monitor() -> Monitor:
    """Return bars when standard error is a terminal that can move its cursor, lines otherwise."""
    # Asked here: Rich takes FORCE_COLOR=1 for a terminal, and shows nothing until the end where it cannot draw.
    if sys.stderr.isatty():
        console = Console(file=cast(TextIO, _Unbreakable(sys.stderr)))
        if console.is_interactive and not console.is_dumb_terminal:
            return Bars(console)
    return Lines()


class Bars:
    """Bars with time left: the study in trials, each trial under way in epochs, and a single one's epoch in steps."""

    def __init__(self, console: Console):
        # A narrow terminal takes first from the figures, then from the names, then from the bars.
        width = console.width
        self._name_width = 32 if width >= 110 else max(14, width // 3)
        self._figures = _figures if width >= 130 else _error if width >= 70 else lambda epoch: ""
        # Time left is judged over the last hour of a bar: trials of different models differ in speed.
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24 if width >= 110 else max(6, width // 6)),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            speed_estimate_period=3600.0,
            transient=True,  # what has ended is said in lines; a bar that no longer moves says nothing
        )
        self._study = self._progress.add_task("study, trials", total=None, note="")
        self._ended = 0
        self._under_way: list[_TrialBars] = []
        self._lock = threading.Lock()
        self._progress.start()

    def begin_study(self, trials: int) -> None:
        self._progress.update(self._study, total=trials)

    def begin_trial(self, label: str, epochs: int, done: int, steps: int) -> TrialMonitor:
        bars = _TrialBars(
            self._progress,
            _shortened(f"{label}, epochs", self._name_width),
            epochs,
            done,
            steps,
            figures=self._figures,
            on_change=self._show,
        )
        with self._lock:
            self._under_way.append(bars)
        self._show()
        return bars

    def end_trial(self, line: str, *, trained: bool) -> None:
        with self._lock:
            self._ended += 1
        self._show()
        self.say(line)

    def say(self, line: str) -> None:
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()

    def _show(self) -> None:
        with self._lock:
            self._under_way = [bars for bars in self._under_way if not bars.closed]
            done = self._ended + sum(bars.share for bars in self._under_way)
            for bars in self._under_way:
                bars.show_steps(len(self._under_way) == 1)
        self._progress.update(self._study, completed=done)


class _TrialBars:
    """The bars of one trial: its epochs, and the steps of the epoch under way."""

    def __init__(
        self,
        progress: Progress,
        name: str,
        epochs: int,
        done: int,
        steps: int,
        *,
        figures: Callable[[Epoch], str],
        on_change: Callable[[], None],
    ):
        self._progress, self._epochs, self._done = progress, epochs, done
        self._figures, self._on_change = figures, on_change
        self._trial = progress.add_task(name, total=epochs, completed=done, note="")
        self._epoch = progress.add_task("  epoch, steps", total=steps, note="", visible=False)
        self.closed = False

    @property
    def share(self) -> float:
        return self._done / self._epochs

    def show_steps(self, visible: bool) -> None:
        self._progress.update(self._epoch, visible=visible)

    def step(self, done: int) -> None:
        self._progress.update(self._epoch, completed=done)

    def end_epoch(self, epoch: Epoch) -> None:
        self._done += 1
        self._progress.update(self._trial, completed=self._done, note=self._figures(epoch))
        self._progress.reset(self._epoch)
        self._on_change()

    def close(self) -> None:
        self.closed = True
        for task in (self._trial, self._epoch):
            self._progress.remove_task(task)
        self._on_change()


class Lines:
    """A line per epoch, at most one in ten seconds, and one per trial; for log files."""

    def __init__(self) -> None:
        self._trials, self._ended, self._last_line = 0, 0, -_LINE_EVERY_SECONDS
        self._trained = 0.0
        self._begun: float | None = None  # the first step: what it waited for is not done again
        self._under_way: list[_TrialLines] = []
        self._lock = threading.Lock()

    def begin_study(self, trials: int) -> None:
        self._trials = trials

    def begin_trial(self, label: str, epochs: int, done: int, steps: int) -> TrialMonitor:
        lines = _TrialLines(self, label, epochs, done)
        start = f"from epoch {done + 1} " if done else ""
        with self._lock:
            self._under_way.append(lines)
            number = self._ended + len(self._under_way)
        counted = f" (trial {number} of {self._trials})" if self._trials > 1 else ""
        self.say(f"{label}: training {start}to epoch {epochs}, {steps} steps each{counted}")
        return lines

    def end_trial(self, line: str, *, trained: bool) -> None:
        with self._lock:
            self._ended += 1
        self.say(line + (self._left() if trained else ""))

    def say(self, line: str) -> None:
        _Unbreakable(sys.stderr).write(f"{line}\n")

    def close(self) -> None:
        pass

    def end_epoch(self, line: str, share: float) -> None:
        """Take note of `share` of a trial more, and say so unless a line was printed just now."""
        with self._lock:
            self._trained += share
            due = time.monotonic() - self._last_line >= _LINE_EVERY_SECONDS
            if due:
                self._last_line = time.monotonic()
        if due:
            self.say(line + self._left())

    def begin_steps(self) -> None:
        """Take note that a step has been done; time left is judged from the first one on."""
        if self._begun is None:
            self._begun = time.monotonic()

    def remove(self, lines: "_TrialLines") -> None:
        """Forget a trial that is no longer under way."""
        with self._lock:
            self._under_way.remove(lines)

    def _left(self) -> str:
        with self._lock:
            under_way = sum(lines.done / lines.epochs for lines in self._under_way)
            remaining = max(0.0, self._trials - self._ended - under_way)
            if not remaining or not self._trained or self._begun is None:
                return ""
            seconds = remaining * (time.monotonic() - self._begun) / self._trained
        return f"  (about {_duration(seconds)} left)"


class _TrialLines:
    """The lines of one trial."""

    def __init__(self, lines: Lines, label: str, epochs: int, done: int):
        self._lines, self._label, self.epochs, self.done = lines, label, epochs, done

    def step(self, done: int) -> None:
        self._lines.begin_steps()

    def end_epoch(self, epoch: Epoch) -> None:
        self.done += 1
        self._lines.end_epoch(f"{self._label}: epoch {self.done}/{self.epochs}  {_figures(epoch)}", 1 / self.epochs)

    def close(self) -> None:
        self._lines.remove(self)


def _figures(epoch: Epoch) -> str:
    return f"loss {epoch.train_loss:.3f}  test error {epoch.test_error:.2f} %  {epoch.images_per_second:,.0f} images/s"


def _error(epoch: Epoch) -> str:
    return f"{epoch.test_error:.2f} %"


def _shortened(name: str, width: int) -> str:
    """Return a name in at most `width` characters: its end, which tells trials apart, stays whole."""
    if len(name) <= width:
        return name
    end = min(18, width - 3)
    return f"{name[: width - end - 1]}…{name[-end:]}"


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{minutes:.0f} min" if minutes >= 1 else f"{seconds:.0f} s"
