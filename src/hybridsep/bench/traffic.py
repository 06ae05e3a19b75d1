"""Bytes that operations read and write, counted while they run: what a step moves when nothing is fused.

Each operation reads its tensor arguments and writes its results and what it changes in place; views move nothing.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Kernels that read an argument once more than once, by the argument's place: batch normalisation first sums, then
# normalises (forward: the input; backward: the gradient and the input); a convolution's backward pass reads the
# gradient for the input's gradient and again for the weight's.
_AGAIN = {
    "native_batch_norm": (0,),
    "_native_batch_norm_legit": (0,),
    "_batch_norm_with_update": (0,),
    "cudnn_batch_norm": (0,),
    "native_batch_norm_backward": (0, 1),
    "batch_norm_backward": (0, 1),
    "cudnn_batch_norm_backward": (0, 1),
    "convolution_backward": (0,),
}
_ONLY_WRITE = ("zero_", "fill_", "copy_", "bernoulli_", "normal_", "uniform_")
_SELECT = ("index_select", "index")  # read as much as they write, not all they are given
_PRODUCTS = ("convolution", "addmm", "mm", "bmm")


class Moved(NamedTuple):
    """`launches` counts operations that move data; some launch more than one kernel."""

    read: int
    written: int
    launches: int


def moved(call: Callable[[], None]) -> Moved:
    """Return what the operations of `call` move. It runs in this thread, on any device."""
    with _Counting() as counting:
        call()
    return Moved(counting.read, counting.written, counting.launches)


def product_outputs(call: Callable[[], None]) -> list[int]:
    """Return the number of values that each convolution and matrix product of `call` puts out, in order."""
    with _Products() as products:
        call()
    return products.outputs


class _Counting(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.read = self.written = self.launches = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        schema = func._schema
        if _is_view(schema):
            return result
        name = schema.name.split("::")[1]
        written = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        places = {leaf.untyped_storage()._cdata for leaf in written}
        read = 0
        for place, (argument, value) in enumerate(_arguments(schema, args, kwargs or {})):
            tensors = [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
            changed = argument.alias_info is not None and argument.alias_info.is_write
            if changed:
                written += [tensor for tensor in tensors if tensor.untyped_storage()._cdata not in places]
            if changed and name in _ONLY_WRITE:
                continue
            times = 2 if place in _AGAIN.get(name, ()) else 1
            read += times * sum(map(_bytes, tensors))
        put_out = sum(map(_bytes, written))
        if put_out == 0:
            return result
        self.read += min(read, 2 * put_out) if name in _SELECT else read
        self.written += put_out
        self.launches += 1
        return result


class _Products(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.outputs: list[int] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func._schema.name.split("::")[1] in _PRODUCTS:
            self.outputs.append(result.numel())
        return result


def _arguments(schema: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[Any, Any]]:
    given = dict(zip((argument.name for argument in schema.arguments), args, strict=False)) | kwargs
    return [(argument, given[argument.name]) for argument in schema.arguments if argument.name in given]


def _is_view(schema: Any) -> bool:
    infos = [returned.alias_info for returned in schema.returns]
    return bool(infos) and all(info is not None and not info.is_write for info in infos)


def _bytes(tensor: Tensor) -> int:
    """Return the bytes behind a tensor; one expanded from fewer values stands on those."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def meta_like(batch: int, side: int) -> Tensor:
    """Return images (batch, 3, side, side) that have a shape and no values."""
    return torch.empty(batch, 3, side, side, device="meta")
