"""Several trials at once in one process: how many, and one thread for each."""

import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")

_SHARE_OF_MEMORY = 0.8  # the rest is for the libraries' workspaces and for what allocators cannot use
_FRAGMENTATION = 1.3


def fitting(trials: int, *, free_bytes: int, trial_bytes: int) -> int:
    """Return how many of `trials` fit into `free_bytes` at once, one taking `trial_bytes` at its peak: at least one."""
    return max(1, min(trials, int(_SHARE_OF_MEMORY * free_bytes / (_FRAGMENTATION * max(1, trial_bytes)))))


def run_concurrently(items: Iterable[Item], do: Callable[[Item], None], *, at_once: int) -> None:
    """Call `do` for every item, in order, at most `at_once` at a time; with one at a time, in this thread.

    An exception ends the thread that raised it and keeps further items from being begun; when the others are done, the
    first one is raised. The calling thread only waits, so that it can receive signals.
    """
    if at_once == 1:
        for item in items:
            do(item)
        return
    waiting: SimpleQueue[Item] = SimpleQueue()
    for item in items:
        waiting.put(item)
    errors: list[BaseException] = []

    def work() -> None:
        while not errors:
            try:
                item = waiting.get_nowait()
            except Empty:
                return
            try:
                do(item)
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work, name=f"trial {number}") for number in range(min(at_once, waiting.qsize()))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
