"""Depthwise 3x3 convolution in Triton: checks, launches and the gradient.

Bytes that have to move, for x of B bytes (N * C * H * W values; the filter's are few): forward 2 B (read x, write y);
backward 3 B (read x and the output's gradient, write the input's gradient). The library's backward is two kernels,
4 B.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hybridsep.kernels.blocks import choose, cut, power_of_two
from hybridsep.kernels.launch import LAUNCH, interpreted, load

# Registers a thread, so that 32 warps share a multiprocessor forward and 16 backward.
_FORWARD_REGISTERS, _BACKWARD_REGISTERS = 64, 128
_ALLOWED = (torch.float32, torch.bfloat16)


def depthwise_conv3x3(x: Tensor, weight: Tensor, *, one_pass: bool = True) -> Tensor:
    """Convolve every channel with its own 3x3 filter, padding 1: (N, C, H, W), (C, 1, 3, 3) -> (N, C, H, W).

    Equal to `F.conv2d(x, weight, padding=1, groups=C)`, in float32 or bfloat16 with sums in float32, channels-last: an
    `x` in another layout is copied first, and the result is channels-last. Under autocast `x` is cast as `F.conv2d`
    would. A float32 `weight` with a bfloat16 `x` is rounded to bfloat16, as autocast does; its gradient is float32 and
    never rounded to bfloat16. Two runs give the same bits. Before a CUDA graph captures it, it must have run forward
    and backward for this shape and number format: compiling and loading a kernel cannot be captured.
    `one_pass` makes both gradients in one kernel, with the same bits (3 B, see above); else two kernels do (4 B, but
    the input's gradient has twice as many warps at once).
    Raises ValueError for another shape, number format or device; ConfigError where Triton is not installed.
    """
    if x.device != weight.device or not (x.is_cuda or (x.device.type == "cpu" and interpreted())):
        raise ValueError(
            f"depthwise_conv3x3: x and weight must be on one CUDA device, not on {x.device} and {weight.device}"
        )
    device = x.device.type
    if torch.is_autocast_enabled(device) and x.dtype in (*_ALLOWED, torch.float16):
        x = x.to(torch.get_autocast_dtype(device))
    _check(x, weight)
    return _Depthwise.apply(x, weight, one_pass)


def _check(x: Tensor, weight: Tensor) -> None:
    if x.dim() != 4 or tuple(weight.shape) != (x.shape[1], 1, 3, 3):
        raise ValueError(
            f"depthwise_conv3x3: x (N, C, H, W) and weight (C, 1, 3, 3) are allowed, not {tuple(x.shape)} and "
            f"{tuple(weight.shape)}"
        )
    if x.dtype not in _ALLOWED or weight.dtype not in (x.dtype, torch.float32):
        raise ValueError(
            f"depthwise_conv3x3: bfloat16 or float32 is allowed, for the weight x's or float32, not {x.dtype} and "
            f"{weight.dtype}"
        )
    if x.numel() == 0 or x[0].numel() >= 2**31:
        raise ValueError(f"depthwise_conv3x3: 1 to 2**31 - 1 values an image are allowed, not {tuple(x.shape)}")


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, one_pass: bool) -> Tensor:
        x = _channels_last(x)
        # Taps outermost: in the parameter's own layout the filters of neighbouring channels are 36 bytes apart, and
        # loading them would cost more than loading the images.
        filters = torch.empty((9, x.shape[1]), dtype=x.dtype, device=x.device)
        filters.copy_(weight.detach().reshape(-1, 9).t())
        ctx.save_for_backward(x, filters)
        ctx.weight_dtype, ctx.one_pass = weight.dtype, one_pass
        return _correlate(x, filters, flip=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, filters = ctx.saved_tensors
        gradient = _channels_last(gradient)
        with_input, with_weight, _ = ctx.needs_input_grad
        dx = dw = None
        if with_weight:
            together = with_input and ctx.one_pass
            dx, dw = _gradients(x, gradient, filters, weight_dtype=ctx.weight_dtype, with_input=together)
        if with_input and dx is None:
            dx = _correlate(gradient, filters, flip=True)
        return dx, dw, None


def _correlate(x: Tensor, filters: Tensor, *, flip: bool) -> Tensor:
    images, chs, height, width = x.shape
    blocks = choose(height, width, chs)
    y = torch.empty_like(x, memory_format=torch.channels_last)
    grid = images * -(-height // blocks.rows) * -(-width // blocks.columns) * -(-chs // blocks.channels)
    with torch.cuda.device_of(x), LAUNCH:
        load("programs").correlate[(grid,)](
            x,
            filters,
            y,
            H=height,
            W=width,
            C=chs,
            FLIP=flip,
            ROWS=blocks.rows,
            COLS=blocks.columns,
            CHS=blocks.channels,
            num_warps=blocks.warps,
            maxnreg=_FORWARD_REGISTERS,
        )
    return y


def _gradients(
    x: Tensor, gradient: Tensor, filters: Tensor, *, weight_dtype: torch.dtype, with_input: bool
) -> tuple[Tensor | None, Tensor]:
    images, chs, height, width = x.shape
    blocks = choose(height, width, chs)
    slabs = cut(images, height, width, chs, blocks)
    dx = torch.empty_like(x, memory_format=torch.channels_last) if with_input else None
    partial = torch.empty((slabs.slabs, 9, chs), dtype=torch.float32, device=x.device)
    dw = torch.empty((chs, 1, 3, 3), dtype=weight_dtype, device=x.device)
    channel_blocks = -(-chs // blocks.channels)
    with torch.cuda.device_of(x), LAUNCH:
        load("programs").gradients[(slabs.slabs * channel_blocks,)](
            x,
            gradient,
            filters,
            dx,
            partial,
            slabs.tasks,
            slabs.each,
            H=height,
            W=width,
            C=chs,
            WITH_INPUT=with_input,
            ROWS=blocks.rows,
            COLS=blocks.columns,
            CHS=blocks.channels,
            num_warps=blocks.warps,
            maxnreg=_BACKWARD_REGISTERS,
        )
        load("programs").add_slabs[(9, -(-chs // 16))](
            partial, dw, SLABS=slabs.slabs, POWER=power_of_two(slabs.slabs), C=chs, CHS=16, num_warps=4
        )
    return dx, dw
