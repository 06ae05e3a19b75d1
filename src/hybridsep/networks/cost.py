"""What a network costs: trainable parameters, and multiply-accumulates of one image's forward pass."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hybridsep.errors import ConfigError
from hybridsep.networks.factory import CONTRACT
from hybridsep.networks.layer import Layer

# Other products: torch's own counter knows them all, but importing it and its compiler takes a run's start seconds.
_OTHER_PRODUCTS = (
    *("matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "addmm", "addbmm", "baddbmm", "addmv", "einsum"),
    *("tensordot", "inner", "chain_matmul", "multi_dot", "bilinear", "conv1d", "conv3d", "convolution"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("multi_head_attention_forward", "scaled_dot_product_attention"),
)


class Cost(NamedTuple):
    """`params`: trainable parameters (BatchNorm's scale and shift yes, running statistics no). `macs`: per image."""

    params: int
    macs: int


def parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def cost_of(network: nn.Module, height: int, width: int, *, in_chs: int = 3) -> Cost:
    """Return what one image of `height` x `width` pixels costs in evaluation mode.

    MACs are products with learned weights or activations, padding included: convolutions, linear layers, attention.
    That is half of what torch's `FlopCounterMode` counts. Normalisation, activations, pooling (however it is carried
    out), additions and the composition of a kernel are not counted. The image runs through `network` where it is.
    Raises ConfigError when a module under test fails, or its maps have the wrong shape.
    """
    first = next(network.parameters())
    image = torch.zeros(1, in_chs, height, width, dtype=first.dtype, device=first.device)
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        with _shapes_checked(network), torch.enable_grad(), _Products() as products:
            network(image)
        macs = products.macs
        if products.others:
            macs = _torchs_count(network, image)
    finally:
        for module in training:
            module.training = True
    return Cost(parameters(network), macs)


class _Products(TorchFunctionMode):
    """Adds up the MACs of 2-D convolutions and linear layers, and notes whether there were other products."""

    def __init__(self) -> None:
        super().__init__()
        self.macs, self.others = 0, False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (F.conv2d, F.linear):
            weight = args[1] if len(args) > 1 else (kwargs or {})["weight"]
            # A kernel of constants (pooling as a convolution) is not learned.
            if weight.requires_grad:
                self.macs += result.numel() * math.prod(weight.shape[1:])
        elif getattr(func, "__name__", "") in _OTHER_PRODUCTS:
            self.others = True
        return result


def _torchs_count(network: nn.Module, image: Tensor) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    tensors = dict(network.named_parameters()) | dict(network.named_buffers())
    shapes = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
    # On "meta" nothing is computed, and Inception's pooling is none but a pooling.
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        torch.func.functional_call(network, shapes, (image.to("meta"),))
    return counter.get_total_flops() // 2


@contextlib.contextmanager
def _shapes_checked(network: nn.Module) -> Iterator[None]:
    """Meanwhile, a module under test that fails or returns the wrong shape raises ConfigError."""
    widths = {layer.module: layer.norm.num_features for layer in network.modules() if type(layer) is Layer}
    running: list[tuple[nn.Module, Tensor]] = []  # the module that is called now

    def begin(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        running[:] = [(module, inputs[0])]

    def end(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        running.clear()
        count, _, height, width = inputs[0].shape
        shape = (count, widths[module], height, width)
        result = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        if result != shape:
            name = type(module).__name__
            raise ConfigError(
                f"model.module: {name} makes {result} of {tuple(inputs[0].shape)}, not {shape}; {CONTRACT}"
            )

    with contextlib.ExitStack() as hooks:
        for module in widths:
            hooks.callback(module.register_forward_pre_hook(begin).remove)
            hooks.callback(module.register_forward_hook(end).remove)
        try:
            yield
        except ConfigError:
            raise
        except Exception as error:
            if not running:
                raise
            ((module, x),) = running
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(
                f"model.module: {type(module).__name__} fails on {tuple(x.shape)} ({reason}); {CONTRACT}"
            ) from error
