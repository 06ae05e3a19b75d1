"""The Inception module (Figure 4): Inception-v3's 35x35 block (Szegedy et al. 2016, Figure 5), scaled."""

from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from hybridsep.errors import ConfigError
from hybridsep.modules.fast import TwoWays
from hybridsep.modules.layers import ConvNormAct, Ratio, joined_conv, joined_norm_relu, scaled

# Widths of the block with 256 output channels; torchvision's `InceptionA(pool_features=32)` has the same.
_BLOCK = 256
_SHARES = (64, 64, 96, 32)


class TowerWidths(NamedTuple):
    """Channels of the block's convolutions; the first four are its outputs, the last three are inner widths."""

    single: int
    triple: int
    double: int
    pool: int
    triple_reduce: int
    double_reduce: int
    double_middle: int


def tower_widths(out_chs: int, inner_ratio: float) -> TowerWidths:
    """Return the block's widths for `out_chs` outputs; the four outputs add up to `out_chs` exactly.

    Outputs that are not whole are rounded by largest remainder; inner widths to the nearest, at least 1. Raises
    ConfigError when a tower would be left without an output channel.
    """
    outputs = [out_chs * share // _BLOCK for share in _SHARES]
    by_remainder = sorted(range(4), key=lambda tower: -(out_chs * _SHARES[tower] % _BLOCK))
    for tower in by_remainder[: out_chs - sum(outputs)]:
        outputs[tower] += 1
    if min(outputs) < 1:
        raise ConfigError(f"model.module: an Inception module cannot give {out_chs} channels; it needs at least 5")
    return TowerWidths(*outputs, *(scaled(out_chs * inner / _BLOCK, inner_ratio) for inner in (48, 64, 96)))


class AveragePool(torch.autograd.Function):
    """`avg_pool2d(x, 3, stride=1, padding=1)`: (N, C, H, W) -> the same shape, dtype and layout.

    Every pixel is a ninth of the sum around it, the zeros of the padding included. So pixel q counts in p as p does in
    q: the pooling is its own transpose, and its backward pass is the pooling of the gradient.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return F.avg_pool2d(x, 3, stride=1, padding=1)
        # torch's pooling on a CPU is several times slower than a depthwise convolution, in bfloat16 above all. The
        # kernel is of ones because bfloat16 has no ninth; the sum is rounded once, and once more when divided.
        chs = x.shape[1]
        with torch.autocast("cpu", enabled=False):
            return F.conv2d(x, x.new_ones(chs, 1, 3, 3), padding=1, groups=chs).div_(9)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        return AveragePool.apply(grad)


class Inception(TwoWays):
    """Four towers, concatenated: (N, in_chs, H, W) -> (N, out_chs, H, W).

    1x1 | 1x1-3x3 | 1x1-3x3-3x3 | 3x3 average pooling-1x1, output shares 64:64:96:32, every convolution with BatchNorm
    and ReLU. `inner_ratio` scales the two reductions (48 and 64 of 256) and the first 3x3 of the third tower (96 of
    256). `fast`: what is narrow is joined, and the pooling comes last.
    """

    def __init__(self, in_chs: int, out_chs: int, *, inner_ratio: Ratio = 1.0):
        super().__init__()
        w = tower_widths(out_chs, inner_ratio)
        self.tower_1x1 = ConvNormAct(in_chs, w.single, 1, act_layer="relu")
        self.tower_3x3 = nn.Sequential(
            ConvNormAct(in_chs, w.triple_reduce, 1, act_layer="relu"),
            ConvNormAct(w.triple_reduce, w.triple, 3, act_layer="relu"),
        )
        self.tower_double = nn.Sequential(
            ConvNormAct(in_chs, w.double_reduce, 1, act_layer="relu"),
            ConvNormAct(w.double_reduce, w.double_middle, 3, act_layer="relu"),
            ConvNormAct(w.double_middle, w.double, 3, act_layer="relu"),
        )
        self.tower_pool = ConvNormAct(in_chs, w.pool, 1, act_layer="relu")

    def forward(self, x: Tensor) -> Tensor:
        if self.fast:
            return self._joined(x)
        pooled = F.avg_pool2d(x, 3, stride=1, padding=1)
        return torch.cat([self.tower_1x1(x), self.tower_3x3(x), self.tower_double(x), self.tower_pool(pooled)], dim=1)

    def _joined(self, x: Tensor) -> Tensor:
        triple_reduce, triple = cast(Iterable[ConvNormAct], self.tower_3x3)
        double_reduce, double_middle, double = cast(Iterable[ConvNormAct], self.tower_double)
        # What is narrow is slow: the 1x1 convolutions of x are one, and the towers' last BatchNorms and ReLUs are one.
        # A 1x1 without bias commutes with the pooling, which then has an eighth of out_chs to do.
        first = (self.tower_1x1, triple_reduce, double_reduce, self.tower_pool)
        single_out, triple_in, double_in, pool_in = joined_conv(x, first)
        # Copies, which keep the layout, because BatchNorm is slow on a view of some channels: a step of the small
        # network took 52 ms with and 62 without them (bfloat16), 76 and 82 with AVX2.
        triple_out = triple.conv(triple_reduce.norm_act(triple_in.clone()))
        double_out = double.conv(double_middle(double_reduce.norm_act(double_in.clone())))
        outputs = (single_out, triple_out, double_out, AveragePool.apply(pool_in))
        return joined_norm_relu(outputs, (self.tower_1x1, triple, double, self.tower_pool))
