"""Bytes that the operations of a call read and write, and how many there are: counted, on any device."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
_SELECT = ("index_select", "index")  # read as much as they write, not all they get
_PRODUCTS = ("convolution", "addmm", "mm", "bmm")


@dataclass
class Traffic:
    """Bytes that operations read and write when nothing is fused: each reads its arguments and writes its results.

    Views move nothing. `launches` counts operations that move data; some launch more than one kernel. `products` counts
    the values that convolutions and matrix products put out.
    """

    read: int = 0
    written: int = 0
    launches: int = 0
    products: int = 0


def traffic(call: Callable[[], object]) -> Traffic:
    """Return what the operations of `call` move. It runs in this thread, on any device."""
    with _Counting() as counting:
        call()
    return counting.traffic


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.traffic = Traffic()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        schema = func._schema
        if _is_view(schema):
            return result
        name = schema.name.split("::")[1]
        written = _tensors(result)
        if name in _PRODUCTS:
            self.traffic.products += sum(tensor.numel() for tensor in written)
        places = {tensor.untyped_storage()._cdata for tensor in written}
        values = dict(zip((argument.name for argument in schema.arguments), args, strict=False)) | (kwargs or {})
        read = 0
        for place, argument in enumerate(each for each in schema.arguments if each.name in values):
            tensors = _tensors(values[argument.name])
            changed = argument.alias_info is not None and argument.alias_info.is_write
            if changed:
                written += [tensor for tensor in tensors if tensor.untyped_storage()._cdata not in places]
            if not (changed and name in _ONLY_WRITE):
                read += (2 if place in _AGAIN.get(name, ()) else 1) * sum(map(_bytes, tensors))
        put_out = sum(map(_bytes, written))
        if put_out:
            self.traffic.read += min(read, 2 * put_out) if name in _SELECT else read
            self.traffic.written += put_out
            self.traffic.launches += 1
        return result


def _is_view(schema: Any) -> bool:
    infos = [returned.alias_info for returned in schema.returns]
    return bool(infos) and all(info is not None and not info.is_write for info in infos)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _bytes(tensor: Tensor) -> int:
    """Return the bytes behind a tensor; one expanded from fewer values stands on those."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
