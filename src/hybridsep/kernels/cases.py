"""The study's layers that have kernels of ours, as things to time: ours beside the library's."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from hybridsep.kernels.depthwise import depthwise_conv3x3
from hybridsep.kernels.norm import batch_norm_act

_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


class DepthwiseCase(NamedTuple):
    """A shape (batch, chs, height, width), and `layers`: how often it occurs in the baseline at `size=paper`."""

    batch: int
    chs: int
    height: int
    width: int
    layers: int

    def floor_bytes(self, what: str, *, precision: str) -> int:
        """Return the bytes that `what` ("forward" or "backward") must read and write at the least.

        B = batch * chs * height * width * (2 in "bfloat16", 4 in "float32"). Forward 2 B: x, y. Backward 3 B: x and
        the output's gradient, the input's gradient. The filters are left out (36 bytes a channel).
        """
        values = self.batch * self.chs * self.height * self.width
        return {"forward": 2, "backward": 3}[what] * values * _DTYPES[precision].itemsize


class NormCase(NamedTuple):
    """A shape (batch, chs, height, width) of BatchNorm and ReLU in training, and `layers`: how often it occurs.

    They are counted at `size=paper` in the baseline or, where the baseline has none of a shape, in `inception`.
    """

    batch: int
    chs: int
    height: int
    width: int
    layers: int

    def floor_bytes(self, what: str, *, precision: str) -> int:
        """Return the bytes that `what` ("forward" or "backward") reads and writes at the least.

        B = batch * chs * height * width * (2 in "bfloat16", 4 in "float32"). Forward 3 B: x for the statistics, x
        again, y. Backward 5 B: x and y's gradient for the sums, both again, x's gradient. A tensor that is still in
        the GPU's cache when it is read again does not move again.
        """
        values = self.batch * self.chs * self.height * self.width
        return {"forward": 3, "backward": 5}[what] * values * _DTYPES[precision].itemsize


class Way(NamedTuple):
    """Calls without arguments on tensors that stay where they are, so that each may be captured in a CUDA graph.

    `forward` returns y; `backward` returns the gradients of x and of the float32 parameters.
    """

    forward: Callable[[], Tensor]
    backward: Callable[[], tuple[Tensor, ...]]


def depthwise_cases(batch: int) -> list[DepthwiseCase]:
    """Return the depthwise convolutions of `separable` and `hybrid` at `size=paper` for 32x32 images."""
    stages = ((128, 32, 3), (128, 16, 1), (256, 16, 2), (256, 8, 1), (512, 8, 2))
    return [DepthwiseCase(batch, chs, side, side, layers) for chs, side, layers in stages]


def depthwise_ways(case: DepthwiseCase, *, device: torch.device, precision: str, seed: int = 0) -> dict[str, Way]:
    """Return the ways to carry `case` out, on the same random tensors: "library", "triton", "triton, two passes".

    `precision` "bfloat16" runs under autocast, as training does: the float32 weight is cast, its gradient float32.
    A small case stays in the GPU's cache (50 MB on an H200) from call to call and can beat the memory's rate.
    """
    numbers = torch.Generator(device).manual_seed(seed)
    x, gradient = _activations(case, numbers, precision)
    weight = torch.randn((case.chs, 1, 3, 3), generator=numbers, device=device).requires_grad_()

    def way(convolution: Callable[[], Tensor]) -> Way:
        def forward() -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False):
                return convolution()

        return _way(forward, (x, weight), gradient)

    return {
        "library": way(lambda: functional.conv2d(x, weight, padding=1, groups=case.chs)),
        "triton": way(lambda: depthwise_conv3x3(x, weight)),
        "triton, two passes": way(lambda: depthwise_conv3x3(x, weight, one_pass=False)),
    }


def norm_cases(batch: int) -> list[NormCase]:
    """Return BatchNorms with ReLU at `size=paper` for 32x32 images: the baseline's, then narrow ones of `inception`."""
    shapes = ((128, 32, 4), (256, 16, 3), (512, 8, 3), (32, 32, 9), (48, 32, 6), (64, 16, 9), (96, 16, 6))
    return [NormCase(batch, chs, side, side, layers) for chs, side, layers in shapes]


def norm_ways(case: NormCase, *, device: torch.device, precision: str, seed: int = 0) -> dict[str, Way]:
    """Return the ways to carry `case` out in training, on the same random tensors: "library", "triton"."""
    numbers = torch.Generator(device).manual_seed(seed)
    x, gradient = _activations(case, numbers, precision)
    weight, bias = (torch.randn(case.chs, generator=numbers, device=device).requires_grad_() for _ in range(2))
    mean, var = torch.zeros(case.chs, device=device), torch.ones(case.chs, device=device)
    counter = torch.zeros((), dtype=torch.int64, device=device)

    def library() -> Tensor:
        counter.add_(1)
        return functional.relu(functional.batch_norm(x, mean, var, weight, bias, training=True), inplace=True)

    def triton() -> Tensor:
        return batch_norm_act(x, weight, bias, mean, var, counter, training=True, momentum=0.1, eps=1e-5, slope=0.0)

    return {
        "library": _way(library, (x, weight, bias), gradient),
        "triton": _way(triton, (x, weight, bias), gradient),
    }


def _activations(case: DepthwiseCase | NormCase, numbers: torch.Generator, precision: str) -> tuple[Tensor, Tensor]:
    """Return x and its output's gradient, channels-last."""
    shape = (case.batch, case.chs, case.height, case.width)
    drawn = [torch.randn(shape, generator=numbers, device=numbers.device) for _ in range(2)]
    x, gradient = (each.to(dtype=_DTYPES[precision], memory_format=torch.channels_last) for each in drawn)
    return x.requires_grad_(), gradient


def _way(forward: Callable[[], Tensor], wanted: tuple[Tensor, ...], gradient: Tensor) -> Way:
    y = forward()
    return Way(forward, lambda: torch.autograd.grad(y, wanted, gradient, retain_graph=True))
