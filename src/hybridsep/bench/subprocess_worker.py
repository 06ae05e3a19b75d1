"""A workload in a process of its own, for what belongs to a process: what the C library does with freed
memory, and what other workloads have left of it.

All wait but the one that is being timed.
"""

import functools
import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from hybridsep.bench.contention import own_seconds
from hybridsep.bench.timing import Workload


class SubprocessWorkload(Workload):
    """The workload that `make(*arguments)` returns in a new process; `shares` are those of the workload, if it has any.

    `seconds` is the processor time of its process so far. `make` and the arguments must be picklable. An exception
    there is raised here; a process that died raises RuntimeError.
    """

    def __init__(self, make: Callable[..., Workload], *arguments: Any):
        self._connection, other = _context().Pipe()
        # No daemon: a DataLoader's workers are processes of it.
        self._process = _context().Process(target=_serve, args=(other, make, arguments))
        self._process.start()
        other.close()
        self.work: float = self._answer()
        self.shares: list[float] = []
        self.seconds = 0.0

    def ready(self) -> None:
        self._ask("ready")

    def run(self, steps: int) -> None:
        self._ask("run", steps)

    def end(self) -> None:
        self.shares, self.seconds = self._ask("end")

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join()

    def _ask(self, *question: Any) -> Any:
        try:
            self._connection.send(question)
        except OSError:
            pass  # it has died, and the answer will say so
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            raise RuntimeError(f"a timed process ended with status {self._process.exitcode}") from None
        if isinstance(answer, Exception):
            raise answer
        return answer


@functools.cache
def _context() -> Any:
    # Forked from a process that has imported torch and run nothing of it: quick to make, and no thread is half there.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hybridsep.bench.throughput"])
    return context


def _serve(connection: Connection, make: Callable[..., Workload], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks ends, and this one with it
    # The workers of the reference loop's DataLoader are started as a user's would be, and counted as this process's.
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    workload: Any = None
    question: tuple[Any, ...] = ()
    while True:
        answer: Any = None
        try:
            if workload is None:
                workload = make(*arguments)
                answer = workload.work
            else:
                name, *given = question
                getattr(workload, name)(*given)
                if name == "end":
                    answer = getattr(workload, "shares", []), own_seconds()
        except Exception as error:
            answer = error
        try:
            connection.send(answer)
            question = connection.recv()
        except (EOFError, OSError):
            return
