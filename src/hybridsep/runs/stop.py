"""Reasons to end a run early and cleanly: a signal, `max_minutes`, or another process of the same command."""

import json
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

FAIL_FAST = "fail_fast=true"  # the reason when a failed trial ends the command
MAX_MINUTES = "max_minutes"
# After a failed capture torch before 2.12 is of no use for another row (`hybridsep.train.graph`).
NEW_PROCESS = "a CUDA graph could not be captured, and after that torch before 2.12 needs a new process"
ORPHANED = "the command that started it has ended"
FILE = "stop.json"  # in the folder of a sweep: how its processes, on whatever machine, hear of a stop request

_LOOK_EVERY_SECONDS = 1.0

# SIGHUP: the terminal or the connection is gone. SIGUSR1: what Slurm is often told to send before the time is up.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]


class Stopped(Exception):
    """A stop was requested while the process waited; the message is the reason."""


class Stop:
    """While entered, turns SIGINT, SIGTERM, SIGHUP and SIGUSR1 into a request that training reads between two steps.

    It can be entered again inside itself; the outermost exit gives the signals back. A signal that was ignored when
    the program was started (`nohup`, a script's background job) stays ignored.

    A SIGINT after the first signal ends the process at once, as it would without us; the others may come as often as
    they like, because schedulers and the programs that start programs send them twice. Time is counted from
    construction.
    """

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._deadline: float | None = None
        self._before: dict[int, Any] = {}
        self._depth = 0
        self._file: Path | None = None
        self._parent: int | None = None
        self._looked = 0.0
        self.reason = ""

    def __enter__(self) -> "Stop":
        # Only the main thread may set handlers; in a launcher's worker thread the launcher owns the signals.
        self._depth += 1
        if self._depth == 1:
            _entered.append(self)
        if self._depth == 1 and threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            _entered.remove(self)
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._before.clear()

    def _handle(self, number: int, _: FrameType | None) -> None:
        self.reason = signal.Signals(number).name
        if signal.SIGINT in self._before:
            signal.signal(signal.SIGINT, signal.SIG_DFL)

    def limit(self, max_minutes: float | None) -> None:
        """Set the time limit, in minutes since construction; None for no limit."""
        self._deadline = None if max_minutes is None else self._begun + 60.0 * max_minutes

    def seconds_left(self) -> float | None:
        """Return the seconds until the time limit, None without one."""
        return None if self._deadline is None else self._deadline - time.monotonic()

    def follow(self, file: Path, *, parent: bool) -> None:
        """Also stop when `announce` wrote so into `file`; with `parent`, when the process that started ours has ended.

        Both are looked at once a second.
        """
        self._file, self._parent = file, os.getppid() if parent else None

    def request(self, reason: str) -> None:
        """Ask for a stop, as a signal would."""
        self.reason = self.reason or reason

    def due(self) -> bool:
        """Return whether to stop at the next step: a signal came, the time is up, or the command is to end."""
        if not self.reason and self._deadline is not None and time.monotonic() >= self._deadline:
            self.reason = MAX_MINUTES
        if not self.reason and self._file is not None and time.monotonic() >= self._looked + _LOOK_EVERY_SECONDS:
            self._looked = time.monotonic()
            self.request(announced(self._file))
            if self._parent is not None and os.getppid() != self._parent:
                self.request(ORPHANED)
        return bool(self.reason)


_entered: list[Stop] = []


def check() -> None:
    """Raise Stopped when what is entered in this process asks for a stop; for what takes long before training."""
    for stop in _entered:
        if stop.due():
            raise Stopped(stop.reason)


def announce(file: Path, reason: str, *, seconds_left: float | None = None) -> None:
    """Write a stop request, or with "" a time limit only, for all processes that follow `file`. Raises OSError."""
    from hybridsep.runs.records import write_atomically  # NumPy; a command that only asks need not wait for it

    deadline = None if seconds_left is None else time.time() + seconds_left
    write_atomically(file, json.dumps({"reason": reason, "deadline": deadline}).encode())


def announced(file: Path) -> str:
    """Return the reason of the stop request in `file`, "" when there is none."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):  # another machine may not see the file at every moment
        return ""
    late = content["deadline"] is not None and time.time() >= content["deadline"]
    return str(content["reason"]) or (MAX_MINUTES if late else "")
