"""How busy the rest of the machine is while something is timed; a number that others disturbed should say so."""

import os
import time
from pathlib import Path


class CpuContention:
    """Counts processor time from its construction on. Linux tells; elsewhere the answer is None.

    Processes that this one started count as its own once they have ended.
    """

    def __init__(self):
        self._begun, self._own, self._busy = time.monotonic(), own_seconds(), _busy_seconds()

    def count(self, seconds: float) -> None:
        """Count processor seconds of a process that is ours and was not started by this one itself."""
        self._own -= seconds

    def cores(self) -> float | None:
        """Return how many of the cores this process may use were, on average, busy with other programs."""
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        wall = max(time.monotonic() - self._begun, 1e-9)
        own = own_seconds() - self._own
        # The kernel counts in hundredths of a second, so a short while can come out below nothing.
        return max(0.0, (busy - self._busy - own) / wall)


def own_seconds() -> float:
    """Return the processor seconds of this process and of those that it started and waited for."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def _busy_seconds() -> float | None:
    """Return the seconds that the cores this process may use have not been idle since the machine started."""
    try:
        usable = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        counted = [[int(value) for value in fields[1:9]] for fields in lines if fields and fields[0] in usable]
        # user nice system idle iowait irq softirq steal; what a hypervisor stole is busy elsewhere too.
        ticks = sum(sum(values) - values[3] - values[4] for values in counted)
        return ticks / os.sysconf("SC_CLK_TCK") if counted else None
    except (AttributeError, OSError, ValueError, IndexError):
        return None
