"""The two streams of a program made safe, and its end: an exit status and at most one line, never a traceback.

A stream may be closed (cron, a service), on a full disk, without a reader (`| head`), or in an encoding that lacks our
letters (PYTHONIOENCODING=ascii).
"""

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import TextIO

from hybridsep.errors import UserError

INTERRUPTED = 130  # what a shell makes of a program that SIGINT ended
_ERRORS = "hybridsep-plain"
_PLAIN = {"≠": "!=", "±": "+-", "≤": "<=", "≥": ">=", "−": "-", "–": "-", "…": "...", "×": "x", "µ": "u", "·": "."}


class Unbreakable(io.TextIOBase):
    """Streams written to at once. One that is closed, full or hung up ends what is said, not what is trained."""

    def __init__(self, *streams: TextIO):
        self._streams = streams

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._streams[0].encoding or "ascii"

    def isatty(self) -> bool:
        """Return whether it is a terminal, on which bars can be drawn: several streams are none."""
        return len(self._streams) == 1 and self._streams[0].isatty()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        for stream in self._streams:
            with contextlib.suppress(OSError, ValueError):
                stream.write(text)
                stream.flush()
        return len(text)


def make_safe() -> None:
    """Let both streams take any text: what is closed leads nowhere, and a missing letter becomes a plain one."""
    if not _columns():
        os.environ.pop("COLUMNS", None)  # Rich takes COLUMNS=0 at its word and prints nothing
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the next file that is opened takes this number, and what a library prints goes into it.
            os.open(os.devnull, os.O_RDWR)
    codecs.register_error(_ERRORS, _plain_letters)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream.closed:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif hasattr(stream, "reconfigure"):
            with contextlib.suppress(OSError):  # what was a file has become a pipe since
                stream.reconfigure(errors=_ERRORS)


def width_of_stdout(otherwise: int) -> int | None:
    """Return how wide to print: COLUMNS, else None for a terminal, which is asked itself, else `otherwise`."""
    return _columns() or (None if sys.stdout.isatty() else otherwise)


def run_program(name: str, program: Callable[[], int]) -> int:
    """Call `program` with safe streams and return its exit status.

    An error of the user or of the system is one line and 2, Ctrl-C is one line and 130; a reader that left is no error.
    """
    make_safe()
    try:
        os.getcwd()
    except FileNotFoundError:
        return _ended(name, "the current folder was deleted: cd to one that is there", 2)
    try:
        status = program()
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _leave_stdout()
        return 0
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # Rich's way to end; it has left stdout already
            return 0
        raise
    except KeyboardInterrupt:
        _leave_stdout()
        return _ended(name, "interrupted", INTERRUPTED)
    except UserError as error:
        return _ended(name, str(error), 2)
    except OSError as error:
        _leave_stdout()
        return _ended(name, str(error), 2)


def _columns() -> int:
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and len(columns) < 6 else 0


def _ended(name: str, line: str, status: int) -> int:
    with contextlib.suppress(OSError):
        print(f"{name}: {line}", file=sys.stderr, flush=True)
    return status


def _leave_stdout() -> None:
    """Send what is still to be written nowhere: Python would try it again at its end, and complain."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _plain_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in letters), error.end
