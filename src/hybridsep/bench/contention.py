"""How busy the rest of the machine is while something is timed; a number that others disturbed should say so."""

import os
import time

from hybridsep.runs import machine


class CpuContention:
    """Counts processor time from its construction on. Linux tells; elsewhere the answer is None.

    Processes that this one started count as its own once they have ended.
    """

    def __init__(self) -> None:
        self._begun, self._own, self._busy = time.monotonic(), own_seconds(), machine.busy_seconds()

    def count(self, seconds: float) -> None:
        """Count processor seconds of a process that is ours and was not started by this one itself."""
        self._own -= seconds

    def cores(self) -> float | None:
        """Return how many of the cores this process may use were, on average, busy with other programs."""
        busy = machine.busy_seconds()
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
