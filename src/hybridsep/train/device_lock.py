"""One process per GPU: a process that may choose its device locks a free one and keeps it for its life.

Launchers start several workers on one machine. Slurm and Ray show each of them one GPU; joblib and a local start show
all of them all GPUs, and two on one would halve both without a word. The lock is a Unix socket named after the GPU in
Linux's abstract namespace: it is no file, and the operating system frees it when its owner dies in whatever way. It
binds the processes of this project only.
"""

import socket
import sys
import threading
from collections.abc import Sequence

from hybridsep.errors import ConfigError

_held: dict[str, socket.socket] = {}  # GPU -> its lock; never closed, so it lasts as long as the process
_asking = threading.Lock()


def lock_free_device(devices: Sequence[str]) -> int:
    """Return the position in `devices` (lasting names, such as UUIDs, of the visible GPUs) of the one that is ours.

    The first that no other process holds; asked again, a process gets what it has. Where there are no such sockets
    (not Linux) it is always the first. Raises ConfigError when all are taken.
    """
    if sys.platform != "linux":
        return 0
    with _asking:
        for number, device in enumerate(devices):
            if device in _held:
                return number
        for number, device in enumerate(devices):
            lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                lock.bind(f"\0hybridsep-gpu-{device}")
            except OSError:  # it is bound already
                lock.close()
                continue
            _held[device] = lock
            return number
    taken = "the GPU is" if len(devices) == 1 else f"all {len(devices)} GPUs are"
    raise ConfigError(
        f"device=auto: {taken} in use by other processes of hybridsep; wait for them, start fewer workers, or share one"
        " on purpose with device=cuda:0"
    )
