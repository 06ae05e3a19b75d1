"""The separable convolution as an aggregated transform (Figure 4; written as in ResNeXt's Figure 3a)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from hybridsep.modules.fast import TwoWays
from hybridsep.modules.layers import conv


class ComposedConv(torch.autograd.Function):
    """The sum of the towers: forward as one dense 3x3 convolution with `kernel`, backward tower by tower.

    The gradient is that of the dense convolution passed on to D and P, by another order of sums: two thirds of a
    training step of the dense one are its backward pass, and the towers' takes a fraction of it.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, depthwise: Tensor, pointwise: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(x, depthwise, pointwise)
        return F.conv2d(x, kernel, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, depthwise, pointwise = (tensor.to(grad.dtype) for tensor in ctx.saved_tensors)
        chs = len(depthwise)
        towers = F.conv2d(x, depthwise, padding=1, groups=chs)
        ones, none = [1, 1], [0, 0]
        of_towers, of_pointwise, _ = torch.ops.aten.convolution_backward(
            grad, towers, pointwise, None, ones, none, ones, False, none, 1, [True, True, False]
        )
        of_x, of_depthwise, _ = torch.ops.aten.convolution_backward(
            of_towers, x, depthwise, None, ones, ones, ones, False, none, chs, [ctx.needs_input_grad[0], True, False]
        )
        return of_x, of_depthwise, of_pointwise, None


class SeparableEquivalent(TwoWays):
    """y = sum over channels c of P[:, c] * (D[c] conv x[c]): (N, in_chs, H, W) -> (N, out_chs, H, W).

    Each channel is a tower of its own: a 3x3 convolution D[c], then its expansion P[:, c] to all outputs; the towers
    are summed. Convolution is linear, so the sum is one dense 3x3 convolution with kernel P[o, c] * D[c], composed in
    every forward pass. Strictly equal to `Separable` without activation, whose parameters have the same names and
    shapes. `fast`: in training the gradient is taken tower by tower.
    """

    def __init__(self, in_chs: int, out_chs: int):
        super().__init__()
        # The two convolutions are never called: they hold D and P under the names that `Separable` gives them.
        self.depthwise = conv(in_chs, in_chs, 3, groups=in_chs)
        self.pointwise = conv(in_chs, out_chs, 1)

    def kernel(self) -> Tensor:
        """Return the composed dense kernel (out_chs, in_chs, 3, 3), in the parameters' dtype also under autocast."""
        return self.pointwise.weight * self.depthwise.weight.transpose(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.fast and self.training:
            return ComposedConv.apply(x, self.depthwise.weight, self.pointwise.weight, self.kernel().detach())
        return F.conv2d(x, self.kernel(), padding=1)
