"""Several trials at once in one process, one thread for each."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
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
    with ThreadPoolExecutor(at_once, thread_name_prefix="trial") as pool:
        futures = [pool.submit(do, item) for item in items]
        wait(futures, return_when=FIRST_EXCEPTION)
        pool.shutdown(cancel_futures=True)
    for future in futures:
        if not future.cancelled():
            future.result()
    return [future.result() for future in futures]
