"""Several trials at once in one process, one thread for each."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_concurrently(items: Iterable[Item], do: Callable[[Item], Result], *, at_once: int) -> list[Result]:
    """Return `do(item)` for every item, begun in order, at most `at_once` at a time; with one, in this thread.

    An exception keeps further items from being begun; when the others are done, the first one in order is raised. The
    calling thread only waits, so that it can receive signals.
    """
    if at_once == 1:
        return [do(item) for item in items]
    failed = threading.Event()

    def attempt(item: Item) -> Result:
        if failed.is_set():
            raise CancelledError
        try:
            return do(item)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(at_once, thread_name_prefix="trial") as pool:
        futures = [pool.submit(attempt, item) for item in items]
    return [future.result() for future in futures]
