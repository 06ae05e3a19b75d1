"""BatchNorm with the activation behind it, in Triton: checks, launches and gradients.

Bytes that have to move, for x of B bytes: training forward 3 B (x for the statistics, x again, y), backward 5 B (x and
y's gradient for the sums, both again, x's gradient), evaluation 2 B. With the activation as an operation of its own
they are 5 B, 8 B and 4 B. x is kept for the backward pass; y is not: the sign that the activation saw is computed
again.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hybridsep.kernels.blocks import CHANNELS, TILE_ROWS, TILES, View, power_of_two, view
from hybridsep.kernels.launch import LAUNCH, interpreted, load

_ALLOWED = (torch.float32, torch.bfloat16)
# Registers a thread, so that 16 warps share a multiprocessor; forward (`_forward_registers`) twice as many can.
_BACKWARD_REGISTERS = 128
_TILE = {"ROWS": TILE_ROWS, "CHS": CHANNELS, "num_warps": 8}
_COMBINED_CHANNELS = 8


def batch_norm_act(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    num_batches_tracked: Tensor,
    *,
    training: bool,
    momentum: float,
    eps: float,
    slope: float,
) -> Tensor:
    """Normalise every channel of x (N, C, H, W), scale, shift, and multiply what is not above 0 by `slope`.

    Equal to `leaky_relu(F.batch_norm(...), slope)` in float32 or bfloat16: 0 is ReLU, 1 no activation. All tensors
    (C,) are float32, `num_batches_tracked` int64. `training` takes the batch's mean and biased variance, moves the
    running ones by `momentum` (the variance unbiased) and adds 1 to the counter, in place; else the running ones are
    taken. Sums are float32. The result is channels-last; an `x` in another layout is copied first. Two runs give the
    same bits. Before a CUDA graph captures it, it must have run forward and backward for this shape and number format:
    compiling and loading a kernel cannot be captured.

    Error: with u = 2**-24 and k roundings on the longest way through a sum (at most 2 * `each` + 32 + parts of
    `blocks.view`), the mean is off by at most about k u mean(|x|), the variance by (k + 2 k c) u of itself, where
    c = rms(x) / standard deviation; a mean of squares without the mean's would be off by k u c**2.
    Raises ValueError for another shape, number format or device, and for `training` on one value a channel;
    ConfigError where Triton is not installed.
    """
    _check(x, weight, bias, running_mean, running_var, num_batches_tracked, training=training)
    if not training and torch.is_grad_enabled():
        # A training pass may move them before the backward pass of this one is called.
        running_mean, running_var = running_mean.clone(), running_var.clone()
    return _BatchNormAct.apply(
        x, weight, bias, running_mean, running_var, num_batches_tracked, training, momentum, eps, slope
    )


def _check(x: Tensor, *others: Tensor, training: bool) -> None:
    places = {each.device for each in (x, *others)}
    if len(places) > 1 or not (x.is_cuda or (x.device.type == "cpu" and interpreted())):
        raise ValueError(
            f"batch_norm_act: all tensors must be on one CUDA device, not on {', '.join(sorted(map(str, places)))}"
        )
    *channels, counter = others
    if x.dim() != 4 or any(each.shape != x.shape[1:2] or not each.is_contiguous() for each in channels):
        shapes = ", ".join(str(tuple(each.shape)) for each in (x, *channels))
        raise ValueError(f"batch_norm_act: x (N, C, H, W), all else dense (C,) is allowed, not {shapes}")
    if x.dtype not in _ALLOWED or {each.dtype for each in channels} != {torch.float32}:
        formats = ", ".join(str(each.dtype) for each in (x, *channels))
        raise ValueError(f"batch_norm_act: x bfloat16 or float32, all else float32 is allowed, not {formats}")
    if counter.dtype != torch.int64 or counter.numel() != 1:
        raise ValueError(f"batch_norm_act: num_batches_tracked is one int64, not {counter.numel()} {counter.dtype}")
    pixels = x.numel() // x.shape[1] if x.shape[1] else 0
    # Rows are counted, and offsets within a chunk computed, in 32 bits.
    if pixels == 0 or x.shape[1] >= 2**16 or pixels >= 2**30:
        raise ValueError(
            f"batch_norm_act: 1 to 2**30 - 1 pixels and at most 2**16 - 1 channels are allowed, not {tuple(x.shape)}"
        )
    if training and pixels == 1:
        raise ValueError(f"batch_norm_act: training needs more than one value a channel, not {tuple(x.shape)}")


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


class _BatchNormAct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        counter: Tensor,
        training: bool,
        momentum: float,
        eps: float,
        slope: float,
    ) -> Tensor:
        x = _channels_last(x)
        cut = view(x.numel() // x.shape[1], x.shape[1])
        if training:
            mean, var = _statistics(x, cut, running_mean, running_var, counter, momentum)
        else:
            mean, var = running_mean, running_var
        ctx.save_for_backward(x, mean, var, weight, bias)
        ctx.cut, ctx.training, ctx.eps, ctx.slope = cut, training, eps, slope
        y = torch.empty_like(x, memory_format=torch.channels_last)
        with torch.cuda.device_of(x), LAUNCH:
            load("norm_programs").normalise[(cut.chunks * _columns(cut),)](
                x,
                y,
                mean,
                var,
                weight,
                bias,
                cut.rows,
                cut.width,
                x.shape[1],
                eps,
                SLOPE=slope,
                EVEN=cut.even,
                FOLDED=cut.fold > 1,
                maxnreg=_forward_registers(x, cut),
                **_TILE,
            )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *channels = ctx.saved_tensors
        gradient = _channels_last(gradient)
        cut, same = ctx.cut, {"SLOPE": ctx.slope, "EVEN": ctx.cut.even, "FOLDED": ctx.cut.fold > 1}
        with_input, with_weight, with_bias = ctx.needs_input_grad[:3]
        dx = dweight = dbias = None
        if with_weight or with_bias or ctx.training:
            dweight, dbias = _sums(x, gradient, channels, cut, ctx.eps, same)
        if with_input:
            dx = torch.empty_like(x, memory_format=torch.channels_last)
            with torch.cuda.device_of(x), LAUNCH:
                load("norm_programs").input_gradient[(cut.chunks * _columns(cut),)](
                    x,
                    gradient,
                    dx,
                    *channels,
                    dweight,
                    dbias,
                    cut.rows,
                    cut.width,
                    x.shape[1],
                    cut.fold,
                    ctx.eps,
                    TRAINING=ctx.training,
                    maxnreg=_BACKWARD_REGISTERS,
                    **same,
                    **_TILE,
                )
        return dx, dweight if with_weight else None, dbias if with_bias else None, *[None] * 7


def _forward_registers(x: Tensor, cut: View) -> int:
    """32 warps a multiprocessor where nothing spills at that (compiled with Triton 3.7.1), else 20."""
    return 64 if cut.even and x.dtype == torch.bfloat16 else 96


def _columns(cut: View) -> int:
    return -(-cut.width // CHANNELS)


def _combine(cut: View, chs: int) -> tuple[tuple[int], dict[str, int]]:
    """Return the grid and the options of the programs that add partial results up."""
    return (-(-chs // _COMBINED_CHANNELS),), {
        "POWER": power_of_two(cut.slabs * cut.fold),
        "CHS": _COMBINED_CHANNELS,
        "num_warps": 8,
    }


def _statistics(
    x: Tensor, cut: View, running_mean: Tensor, running_var: Tensor, counter: Tensor, momentum: float
) -> tuple[Tensor, Tensor]:
    chs = x.shape[1]
    partial = torch.empty((2, cut.slabs, cut.width), dtype=torch.float32, device=x.device)
    mean, var = (torch.empty(chs, dtype=torch.float32, device=x.device) for _ in range(2))
    grid, options = _combine(cut, chs)
    with torch.cuda.device_of(x), LAUNCH:
        programs = load("norm_programs")
        programs.statistics[(cut.slabs * _columns(cut),)](
            x,
            partial,
            cut.rows,
            cut.width,
            cut.each,
            cut.slabs,
            EVEN=cut.even,
            maxnreg=_forward_registers(x, cut),
            **_TILE,
        )
        programs.combine_statistics[grid](
            partial,
            mean,
            var,
            running_mean,
            running_var,
            counter,
            cut.rows,
            chs,
            cut.slabs * cut.fold,
            cut.fold,
            cut.each * TILE_ROWS * TILES,
            momentum,
            **options,
        )
    return mean, var


def _sums(
    x: Tensor, gradient: Tensor, channels: list[Tensor], cut: View, eps: float, same: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    chs = x.shape[1]
    partial = torch.empty((2, cut.slabs, cut.width), dtype=torch.float32, device=x.device)
    dweight, dbias = (torch.empty(chs, dtype=torch.float32, device=x.device) for _ in range(2))
    grid, options = _combine(cut, chs)
    with torch.cuda.device_of(x), LAUNCH:
        programs = load("norm_programs")
        programs.gradient_sums[(cut.slabs * _columns(cut),)](
            x,
            gradient,
            partial,
            *channels,
            cut.rows,
            cut.width,
            chs,
            cut.each,
            cut.slabs,
            eps,
            maxnreg=_BACKWARD_REGISTERS,
            **same,
            **_TILE,
        )
        programs.combine_sums[grid](partial, channels[1], dweight, dbias, chs, cut.slabs * cut.fold, eps, **options)
    return dweight, dbias
