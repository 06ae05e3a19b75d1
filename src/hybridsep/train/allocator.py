"""What the C library does with memory that a step frees on a CPU."""

import ctypes

from hybridsep.runs import machine

# Of <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Let the process keep what a step frees for the next one; return whether it could be told (glibc only).

    Else glibc gives large tensors back to the kernel, which clears each of their pages again at the next step: up to
    half of the time of evaluation.
    """
    if not machine.glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
