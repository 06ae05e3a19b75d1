"""A workload in a process of its own, for what belongs to a process: what the C library does with freed
memory, and what other workloads have left of it.

All wait but the one that is being timed.
"""

import functools
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from hybridsep.bench.contention import own_seconds
from hybridsep.bench.timing import Workload

_workload: Workload  # of a process that was started for it


class SubprocessWorkload(Workload):
    """The workload that `make(*arguments)` returns in a new process; `shares` are those of the workload.

    `seconds` is the processor time of its process so far. `make` and the arguments must be picklable. An exception
    there is raised here; a process that died raises BrokenProcessPool, a RuntimeError.
    """

    def __init__(self, make: Callable[..., Workload], *arguments: Any):
        # Its processes are no daemons: a DataLoader's workers are processes of them.
        self._pool = ProcessPoolExecutor(1, mp_context=_context(), initializer=_begin)
        self.seconds = 0.0
        try:
            self.work = self._pool.submit(_make, make, arguments).result()
        except BaseException:
            self.close()
            raise

    def ready(self) -> None:
        self._pool.submit(_call, "ready").result()

    def run(self, steps: int) -> None:
        self._pool.submit(_call, "run", steps).result()

    def end(self) -> None:
        self.shares, self.seconds = self._pool.submit(_call, "end").result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


@functools.cache
def _context() -> Any:
    # Forked from a process that has imported torch and run nothing of it: quick to make, and no thread is half there.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hybridsep.bench.throughput"])
    return context


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks ends, and this one with it
    # The workers of the reference loop's DataLoader are started as a user's would be, and counted as this process's.
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)


def _make(make: Callable[..., Workload], arguments: tuple[Any, ...]) -> float:
    global _workload
    _workload = make(*arguments)
    return _workload.work


def _call(method: str, *arguments: Any) -> tuple[Sequence[float], float]:
    """Call a method of the workload; return its shares and the processor time of this process."""
    getattr(_workload, method)(*arguments)
    return _workload.shares, own_seconds()
