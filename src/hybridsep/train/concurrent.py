"""Several trials at once in one process: how many, and one thread for each."""

import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_SHARE_OF_MEMORY = 0.8  # the rest is for the libraries' workspaces and for what allocators cannot use
_FRAGMENTATION = 1.3


def trials_that_fit(trials: int, *, free_bytes: int, trial_bytes: int) -> int:
    """Return how many of `trials` fit into `free_bytes` at once, one taking `trial_bytes` at its peak: at least one."""
    return max(1, min(trials, int(_SHARE_OF_MEMORY * free_bytes / (_FRAGMENTATION * max(1, trial_bytes)))))


def run_concurrently(items: Iterable[Item], do: Callable[[Item], Result], *, at_once: int) -> list[Result]:
    """Return `do(item)` for every item, begun in order, at most `at_once` at a time; with one, in this thread.

    An exception ends the thread that raised it and keeps further items from being begun; when the others are done, the
    first one is raised. The calling thread only waits, so that it can receive signals.
    """
    if at_once == 1:
        return [do(item) for item in items]
    waiting: SimpleQueue[tuple[int, Item]] = SimpleQueue()
    for numbered in enumerate(items):
        waiting.put(numbered)
    results: dict[int, Result] = {}
    errors: list[BaseException] = []

    def work() -> None:
        while not errors:
            try:
                number, item = waiting.get_nowait()
            except Empty:
                return
            try:
                results[number] = do(item)
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work, name=f"trial {number}") for number in range(min(at_once, waiting.qsize()))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[number] for number in sorted(results)]
