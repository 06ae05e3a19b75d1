"""Reasons to end a run early and cleanly: SIGINT, SIGTERM and `max_minutes`."""

import signal
import threading
import time
from types import FrameType

EXIT_STATUS = 75  # EX_TEMPFAIL of sysexits.h: stopped early, the same command goes on; Slurm scripts requeue on it


class Stop:
    """While entered, turns the first SIGINT or SIGTERM into a request that the training loop reads between two steps.

    A second signal ends the process at once, as it would without us. Time is counted from construction.
    """

    def __init__(self):
        self._begun = time.monotonic()
        self._deadline: float | None = None
        self._before: dict[int, object] = {}
        self.reason = ""

    def __enter__(self) -> "Stop":
        # Only the main thread may set handlers; in a launcher's worker thread the launcher owns the signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.reason = signal.Signals(number).name
        signal.signal(number, signal.SIG_DFL)

    def limit(self, max_minutes: float | None) -> None:
        """Set the time limit, in minutes since construction; None for no limit."""
        self._deadline = None if max_minutes is None else self._begun + 60.0 * max_minutes

    def requested(self) -> bool:
        """Return whether a signal asked to stop at the next step."""
        return bool(self.reason)

    def before_epoch(self, expected_seconds: float) -> bool:
        """Return whether to stop instead of beginning an epoch that is expected to take `expected_seconds`."""
        if not self.reason and self._deadline is not None and time.monotonic() + expected_seconds > self._deadline:
            self.reason = "max_minutes"
        return bool(self.reason)
