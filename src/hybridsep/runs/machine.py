"""What this machine can do. Everything else asks here; an answer that a system does not give has a stated stand-in."""

import contextlib
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """Return how many cores this process may use, at least 1: those of its affinity, and no more than its CPU quota.

    A quota (`docker --cpus`, a CPU limit of Kubernetes) is rounded up. With more threads than that the kernel stops
    them all at once, again and again.
    """
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    else:
        count = getattr(os, "process_cpu_count", os.cpu_count)  # the first is new in Python 3.13
        usable = count() or 1
    return max(1, min([usable, *map(math.ceil, _quotas())]))


def _quotas() -> Iterator[float]:
    """Yield the CPU quotas, in cores, of this process's control group and of every group above it; none off Linux.

    Version 2 of control groups has them in `cpu.max`, version 1 in `cpu.cfs_quota_us` and `cpu.cfs_period_us`. A
    container sees its own group at the top, whatever the path that it has outside.
    """
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text(errors="replace").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            inner = PurePosixPath(path.lstrip("/"))
            for group in (inner, *inner.parents):
                if quota := _quota(_GROUPS / ("cpu" if controllers else "") / group):
                    yield quota


def _quota(group: Path) -> float | None:
    """Return the quota, in cores, of the control group with this folder; None when it has none."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        if (group / "cpu.max").exists():
            limit, period = (group / "cpu.max").read_text().split()  # "max 100000" without one
        else:
            limit, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(limit) / int(period) if int(limit) > 0 else None
    return None


def share_of_cores() -> int:
    """Return `cores()`, or fewer where a launcher told its worker its share in OMP_NUM_THREADS."""
    share = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores(), int(share))) if share.isdecimal() and len(share) < 10 else cores()


def glibc() -> bool:
    """Return whether Python runs on the GNU C library."""
    with contextlib.suppress(OSError):
        return platform.libc_ver()[0] == "glibc"
    return False


def processor() -> str:
    """Return the processor's name as people know it, "unknown" when the system has none."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        if name := _value(lines, "model name"):  # of x86
            return name
    command = ("sysctl", "machdep.cpu.brand_string") if sys.platform == "darwin" else ("lscpu",)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        english = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10, env=english)
        if name := _value(done.stdout.splitlines(), "Model name", "machdep.cpu.brand_string"):
            return name
    return platform.processor() or platform.machine() or "unknown"


def _value(lines: list[str], *names: str) -> str:
    """Return what the first line `name: value` of these names says, "" when there is none."""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() in names and value.strip()), "")


def busy_seconds() -> float | None:
    """Return the seconds that the cores this process may use have not been idle since the machine started.

    Only Linux tells; None elsewhere.
    """
    try:
        usable = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        counted = [[int(value) for value in fields[1:9]] for fields in lines if fields and fields[0] in usable]
        # user nice system idle iowait irq softirq steal; what a hypervisor stole is busy elsewhere too.
        ticks = sum(sum(values) - values[3] - values[4] for values in counted)
        return ticks / os.sysconf("SC_CLK_TCK") if counted else None
    except (AttributeError, OSError, ValueError, IndexError):
        return None
