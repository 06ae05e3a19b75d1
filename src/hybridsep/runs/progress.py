"""What a person sees of a running study: progress bars on a terminal, readable lines elsewhere."""

import sys
import threading
import time
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hybridsep.runs.record import Epoch
from hybridsep.streams import Unbreakable

_LINE_EVERY_SECONDS = 10.0


def monitor() -> "Monitor":
    """Return bars when standard error is a terminal that can move its cursor, lines otherwise."""
    # Asked here: Rich takes FORCE_COLOR=1 for a terminal, and shows nothing until the end where it cannot draw.
    if sys.stderr.isatty():
        console = Console(file=cast(TextIO, Unbreakable(sys.stderr)))
        if console.is_interactive and not console.is_dumb_terminal:
            return Monitor(console)
    return Monitor()


class Monitor:
    """Shows what happens, as several threads say it when trials run side by side; decides nothing.

    On a `console` bars with time left: the study in trials, each trial under way in epochs, and a single one's epoch in
    steps. Without one lines, for log files: one for each trial, and one for an epoch, at most every ten seconds.
    """

    def __init__(self, console: Console | None = None):
        self.width = width = console.width if console else 0  # 0: lines
        self._trials, self._ended, self._last_line = 0, 0, -_LINE_EVERY_SECONDS
        self._trained = 0.0  # trials, since the first step
        self._begun: float | None = None  # the first step: what it waited for is not done again
        self._under_way: list[TrialMonitor] = []
        self._lock = threading.Lock()
        # A narrow terminal takes first from the figures, then from the names, then from the bars. Time left is judged
        # over the last hour of a bar: trials of different models differ in speed.
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24 if width >= 110 else max(6, width // 6)),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            speed_estimate_period=3600.0,
            transient=True,  # what has ended is said in lines; a bar that no longer moves says nothing
            disable=console is None,
        )
        self._study = self.bars.add_task("study, trials", total=None, note="")
        self.bars.start()

    def begin_study(self, trials: int) -> None:
        self._trials = trials
        self.bars.update(self._study, total=trials)

    def begin_trial(self, label: str, epochs: int, done: int, steps: int) -> "TrialMonitor":
        """Return what is told of a trial of so many epochs, `done` of them before, each of so many steps."""
        trial = TrialMonitor(self, label, epochs, done, steps)
        with self._lock:
            self._under_way.append(trial)
            number = self._ended + len(self._under_way)
        if not self.width:
            start = f"from epoch {done + 1} " if done else ""
            counted = f" (trial {number} of {self._trials})" if self._trials > 1 else ""
            self.say(f"{label}: training {start}to epoch {epochs}, {steps} steps each{counted}")
        self._show()
        return trial

    def end_trial(self, line: str, *, trained: bool) -> None:
        with self._lock:
            self._ended += 1
        self._show()
        self.say(line + (self._left() if trained else ""))

    def say(self, line: str) -> None:
        if self.width:
            self.bars.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            Unbreakable(sys.stderr).write(f"{line}\n")  # the stream as it is now: a worker's is replaced

    def close(self) -> None:
        self.bars.stop()

    def note_step(self) -> None:
        """Note that a step has been done; time left is judged from the first one on."""
        if self._begun is None:
            self._begun = time.monotonic()

    def note_epoch(self, line: str, share: float) -> None:
        """Note `share` of a trial more, and in lines say so unless one was printed just now."""
        with self._lock:
            self._trained += share
            due = not self.width and time.monotonic() - self._last_line >= _LINE_EVERY_SECONDS
            if due:
                self._last_line = time.monotonic()
        self._show()
        if due:
            self.say(line + self._left())

    def remove(self, trial: "TrialMonitor") -> None:
        """Forget a trial that is no longer under way."""
        with self._lock:
            self._under_way.remove(trial)
        self._show()

    def _show(self) -> None:
        with self._lock:
            done = self._ended + sum(trial.share for trial in self._under_way)
            for trial in self._under_way:
                self.bars.update(trial.epoch_task, visible=len(self._under_way) == 1)
        self.bars.update(self._study, completed=done)

    def _left(self) -> str:
        with self._lock:
            remaining = max(0.0, self._trials - self._ended - sum(trial.share for trial in self._under_way))
            if self.width or not remaining or not self._trained or self._begun is None:
                return ""
            seconds = remaining * (time.monotonic() - self._begun) / self._trained
        minutes, hours = seconds / 60, seconds / 3600
        left = f"{hours:.1f} h" if hours >= 1 else f"{minutes:.0f} min" if minutes >= 1 else f"{seconds:.0f} s"
        return f"  (about {left} left)"


class TrialMonitor:
    """Told what happens in one trial."""

    def __init__(self, monitor: Monitor, label: str, epochs: int, done: int, steps: int):
        self._monitor, self._label, self._epochs, self._done = monitor, label, epochs, done
        width = 32 if monitor.width >= 110 else max(14, monitor.width // 3)
        self._task = monitor.bars.add_task(_shortened(f"{label}, epochs", width), total=epochs, completed=done, note="")
        self.epoch_task = monitor.bars.add_task("  epoch, steps", total=steps, note="", visible=False)

    @property
    def share(self) -> float:
        """How much of the trial is done, from 0 to 1."""
        return self._done / self._epochs

    def step(self, done: int) -> None:
        self._monitor.note_step()
        if self._monitor.width:
            self._monitor.bars.update(self.epoch_task, completed=done)

    def end_epoch(self, epoch: Epoch) -> None:
        self._done += 1
        error = f"{epoch.test_error:.2f} %"
        line = f"loss {epoch.train_loss:.3f}  test error {error}  {epoch.images_per_second:,.0f} images/s"
        width = self._monitor.width
        note = line if width >= 130 else error if width >= 70 else ""
        self._monitor.bars.update(self._task, completed=self._done, note=note)
        self._monitor.bars.reset(self.epoch_task)
        self._monitor.note_epoch(f"{self._label}: epoch {self._done}/{self._epochs}  {line}", 1 / self._epochs)

    def close(self) -> None:
        for task in (self._task, self.epoch_task):
            self._monitor.bars.remove_task(task)
        self._monitor.remove(self)


def _shortened(name: str, width: int) -> str:
    """Return a name in at most `width` characters: its end, which tells trials apart, stays whole."""
    if len(name) <= width:
        return name
    end = min(18, width - 3)
    return f"{name[: width - end - 1]}…{name[-end:]}"
