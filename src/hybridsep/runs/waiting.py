"""Waiting for a lock that another process holds: said after two seconds, and ended by a stop request."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

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


@contextlib.contextmanager
def held_in(folder: Path, name: str, what: str) -> Iterator[None]:
    """Hold the lock file `name` in `folder`, which is made when missing; nothing that stays empty is left behind.

    `what` is protected, in words. Raises OSError when the folder cannot be made or written to, and `stop.Stopped`
    when a stop is requested while another process has the lock. A lock dies with its process, however that ends.
    """
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with held(FileLock(folder / name), what):
            try:
                yield
            finally:
                # Removed while it is held: whoever waits for it sees that and takes a new file.
                with contextlib.suppress(OSError):
                    (folder / name).unlink()
    finally:
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
