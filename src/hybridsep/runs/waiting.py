"""Waiting for a lock that another process holds: said after two seconds, and ended by a stop request."""

import contextlib
import sys
import time
from collections.abc import Iterator

from filelock import FileLock, Timeout

from hybridsep.runs import stop

_QUIET = 2.0  # seconds without a word
_TURN = 0.2  # seconds between two looks at the stop request


@contextlib.contextmanager
def held(lock: FileLock, what: str) -> Iterator[None]:
    """Hold `lock`, which protects `what`, as in "the plan of study x"; wait for it as long as it takes.

    Raises `stop.Stopped` when a stop is requested first, and OSError when the lock file cannot be written.
    """
    begun, announced = time.monotonic(), False
    while True:
        try:
            lock.acquire(timeout=_TURN)
            break
        except Timeout:
            stop.check()
            if not announced and time.monotonic() - begun >= _QUIET:
                announced = True
                print(f"waiting for {what}: another process has {lock.lock_file}", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        lock.release()
