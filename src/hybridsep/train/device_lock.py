"""One process per GPU: a process that may choose its device locks a free one and keeps it for its life.

Launchers start several workers on one machine. Slurm and Ray show each of them one GPU; joblib and a local start show
all of them all GPUs, and two on one would halve both without a word. The lock is advisory (`flock`) on a file
named after the GPU in the machine's temporary folder, so the operating system frees it when its owner dies in whatever
way. It binds the processes of this project only.
"""

import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from hybridsep.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_held: dict[Path, int | FileLock] = {}  # lock file -> descriptor; never closed, so a lock lasts as long as the process
_asking = threading.Lock()


def lock_free_device(devices: Sequence[str], folder: Path | None = None) -> int:
    """Return the position in `devices` (lasting names, such as UUIDs, of the visible GPUs) of the one that is ours.

    The first that no other process holds; asked again, a process gets what it has. Raises ConfigError when all are
    taken. `folder` of the lock files: the machine's temporary folder unless given.
    """
    paths = [Path(folder or tempfile.gettempdir()) / f"hybridsep-gpu-{name}.lock" for name in devices]
    with _asking:
        for number, path in enumerate(paths):
            if path in _held:
                return number
        for number, path in enumerate(paths):
            held = _lock(path)
            if held is not None:
                _held[path] = held
                return number
    taken = "the GPU is" if len(devices) == 1 else f"all {len(devices)} GPUs are"
    raise ConfigError(
        f"device=auto: {taken} in use by other processes of hybridsep; wait for them, start fewer workers, or share one"
        " on purpose with device=cuda:0"
    )


def _lock(path: Path) -> int | FileLock | None:
    """Return the descriptor, or without `flock` the object, that holds the lock of `path`; None if another has it."""
    if fcntl is None:
        held = FileLock(path)
        try:
            held.acquire(blocking=False)
        except Timeout:
            return None
        return held
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _open(path: Path) -> int:
    # First without O_CREAT and for reading: that is what systems with a protected /tmp allow for another user's file,
    # and it is enough for a lock. O_NOFOLLOW: a link that somebody left there leads nowhere.
    for _ in range(100):
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ConfigError(f"device=auto: {path} cannot be opened ({error.strerror}); name a device=") from None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigError(f"device=auto: {path} cannot be made ({error.strerror}); name a device=") from None
        os.fchmod(descriptor, 0o644)  # whatever the umask: other users must be able to ask
        return descriptor
    raise ConfigError(f"device=auto: {path} appears and disappears; name a device=")
