"""Put other ways of carrying layers out into a network that is already built."""

from collections import Counter
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hybridsep.errors import ConfigError
from hybridsep.kernels.depthwise import depthwise_conv3x3
from hybridsep.kernels.grouped import merge_groups
from hybridsep.kernels.launch import interpreted, load
from hybridsep.kernels.norm import batch_norm_act
from hybridsep.modules.layers import ConvNormAct
from hybridsep.networks import fractalnet, stack


class Installed(NamedTuple):
    """How many layers now run in Triton: depthwise convolutions, and BatchNorms with their activation."""

    depthwise: int
    norms: int


class Replaceable(NamedTuple):
    """What `install` replaces: `depthwise` convolutions; modules with a `norm`, and the slope below 0 behind it."""

    depthwise: list[nn.Conv2d]
    norms: dict[nn.Module, float]


class TritonDepthwise(nn.Conv2d):
    """A depthwise 3x3 convolution, stride 1, padding 1, no bias, carried out by `depthwise_conv3x3`."""

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_conv3x3(x, self.weight)


class TritonNormAct(nn.BatchNorm2d):
    """BatchNorm and, with `slope` other than 1, the activation behind it, carried out by `batch_norm_act`."""

    slope: float

    def forward(self, x: Tensor) -> Tensor:
        return batch_norm_act(
            x,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.num_batches_tracked,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
            slope=self.slope,
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, slope={self.slope}"


class TritonFractalLayer(fractalnet.Layer):
    """FractalNet's layer, whose `norm` is a `TritonNormAct`."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.dropout(self.module(x)))


def suit(network: nn.Module, chosen: str) -> None:
    """Let the layers of `network` run as `kernels=chosen` says (library or triton), and as its device is quick at.

    Raises ConfigError as `install` does.
    """
    if chosen == "triton":
        install(network)
    if next(network.parameters()).device.type == "cpu":
        # On a GPU it is to be measured first (`bench throughput` does).
        merge_groups(network)


def install(network: nn.Module) -> Installed:
    """Let layers of `network` run in Triton; return how many.

    They are every depthwise 3x3 `nn.Conv2d` (stride 1, padding 1, no bias), and every `nn.BatchNorm2d` with ReLU, leaky
    ReLU or nothing right behind it in a `ConvNormAct`, a stack's `Layer` without residual connection or FractalNet's
    `Layer`; the activation then does nothing. Parameters, their names and order, `state_dict`, hooks and mode stay as
    they are. Other layers are left alone, among them BatchNorms and activations that have hooks (which would see
    other values) or stand in more than one place.
    Raises ConfigError when a parameter is not on a CUDA device or where Triton is not installed.
    """
    elsewhere = {parameter.device.type for parameter in network.parameters()} - {"cuda"}
    load("programs")
    if elsewhere and not (elsewhere == {"cpu"} and interpreted()):
        raise ConfigError(
            f"kernels=triton needs device=cuda, not {', '.join(sorted(elsewhere))}; kernels=library runs everywhere"
        )
    found = replaceable(network)
    for module in found.depthwise:
        # The instance changes its class, instead of a new one taking its place: a module that stands in two places
        # stays one module, and nothing that refers to it has to be found.
        module.__class__ = TritonDepthwise
    for module, slope in found.norms.items():
        module.norm.__class__ = TritonNormAct
        module.norm.slope = slope
        if type(module) is fractalnet.Layer:
            module.__class__ = TritonFractalLayer
        else:
            module.act.__class__ = nn.Identity
    return Installed(len(found.depthwise), len(found.norms))


def replaceable(network: nn.Module) -> Replaceable:
    """Return what `install` would replace, on any device."""
    places = Counter(child for module in network.modules() for child in module._modules.values() if child is not None)
    norms = {}
    for module in network.modules():
        slope = _slope(module)
        parts = [module._modules[name] for name in ("norm", "act") if name in module._modules]
        if slope is not None and all(places[part] == 1 and not _hooked(part) for part in parts):
            norms[module] = slope
    return Replaceable([module for module in network.modules() if _depthwise(module)], norms)


def _slope(module: nn.Module) -> float | None:
    """Return the slope below 0 of what stands behind `module.norm`; None where that is not certain."""
    if type(module) not in (ConvNormAct, stack.Layer, fractalnet.Layer) or not _plain(module.norm):
        return None
    if type(module) is fractalnet.Layer:
        return 0.0
    if type(module) is stack.Layer and module.residual:
        return None
    if type(module.act) is nn.LeakyReLU:
        return float(module.act.negative_slope)
    return {nn.ReLU: 0.0, nn.Identity: 1.0}.get(type(module.act))


def _plain(norm: nn.Module) -> bool:
    return (
        type(norm) is nn.BatchNorm2d
        and norm.affine
        and norm.track_running_stats
        and norm.momentum is not None
        and norm.weight.dtype == torch.float32
    )


def _hooked(module: nn.Module) -> bool:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, name) for name in hooks)


def _depthwise(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.groups == module.in_channels == module.out_channels
        and module.kernel_size == (3, 3)
        and module.stride == (1, 1)
        and module.padding in ((1, 1), "same")
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and module.bias is None
        and module.weight.dtype in (torch.float32, torch.bfloat16)
    )
