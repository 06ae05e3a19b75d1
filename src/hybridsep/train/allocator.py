"""What the C library does with memory that a step frees on a CPU."""

import ctypes
import platform

# Names and numbers of <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_KEPT = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1}
# Where glibc's own adjustment of the thresholds ends in a program that frees tensors of 32 MiB and more.
_GIVEN_BACK = {_M_MMAP_MAX: 65536, _M_MMAP_THRESHOLD: 32 << 20, _M_TRIM_THRESHOLD: 64 << 20}


def keep_freed_memory(keep: bool = True) -> bool:
    """Let the process keep what a step frees for the next one; return whether it could be told (glibc only).

    Else glibc gives large tensors back to the kernel, which clears each of their pages again at the next step: up to
    half of the time of evaluation. `keep=False` goes back to what a program without this call comes to.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(name, value) for name, value in (_KEPT if keep else _GIVEN_BACK).items()])
