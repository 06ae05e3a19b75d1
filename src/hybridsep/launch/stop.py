"""Reasons to end a run early and cleanly: SIGINT, SIGTERM and `max_minutes`."""

import signal
import threading
import time
from types import FrameType

FAIL_FAST = "fail_fast=true"  # the reason when a failed trial ends the command


class Stop:
    """While entered, turns SIGINT and SIGTERM into a request that the training loop reads between two steps.

    It can be entered again inside itself; the outermost exit gives the signals back.

    A SIGINT after that ends the process at once, as it would without us; SIGTERM may come as often as it likes, because
    schedulers and the programs that start programs send it twice. Time is counted from construction.
    """

    def __init__(self):
        self._begun = time.monotonic()
        self._deadline: float | None = None
        self._before: dict[int, object] = {}
        self._depth = 0
        self.reason = ""

    def __enter__(self) -> "Stop":
        # Only the main thread may set handlers; in a launcher's worker thread the launcher owns the signals.
        self._depth += 1
        if self._depth == 1 and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._before.clear()

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.reason = signal.Signals(number).name
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def limit(self, max_minutes: float | None) -> None:
        """Set the time limit, in minutes since construction; None for no limit."""
        self._deadline = None if max_minutes is None else self._begun + 60.0 * max_minutes

    def request(self, reason: str) -> None:
        """Ask for a stop, as a signal would."""
        self.reason = self.reason or reason

    def requested(self) -> bool:
        """Return whether a signal came, or `due` has found the time to be up."""
        return bool(self.reason)

    def due(self) -> bool:
        """Return whether to stop at the next step: a signal came, or the time is up."""
        if not self.reason and self._deadline is not None and time.monotonic() >= self._deadline:
            self.reason = "max_minutes"
        return bool(self.reason)
