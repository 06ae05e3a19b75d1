"""One writer at a time in a folder of downloads or decoded images."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from hybridsep.runs import waiting


@contextlib.contextmanager
def held(folder: Path, name: str, what: str) -> Iterator[None]:
    """Hold the lock file `name` in `folder`, which is made when missing; nothing that stays empty is left behind.

    `what` is protected, in words. Raises OSError when the folder cannot be made or written to, and `stop.Stopped`
    when a stop is requested while another process has the lock. A lock dies with its process, however that ends.
    """
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with waiting.held(FileLock(folder / name), what):
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
