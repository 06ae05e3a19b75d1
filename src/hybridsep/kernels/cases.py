"""The study's depthwise convolutions as things to time: our kernels beside the library's."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from hybridsep.kernels.depthwise import depthwise_conv3x3


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
        return {"forward": 2, "backward": 3}[what] * values * {"bfloat16": 2, "float32": 4}[precision]


class Way(NamedTuple):
    """Calls without arguments on tensors that stay where they are, so that each may be captured in a CUDA graph.

    `forward` returns y; `backward` returns the gradients of x and of the float32 weight.
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
    shape = (case.batch, case.chs, case.height, case.width)
    dtype = {"bfloat16": torch.bfloat16, "float32": torch.float32}[precision]

    def draw() -> Tensor:
        values = torch.randn(shape, generator=numbers, device=device)
        return values.to(dtype=dtype, memory_format=torch.channels_last)

    x, gradient = draw().requires_grad_(), draw()
    weight = torch.randn((case.chs, 1, 3, 3), generator=numbers, device=device).requires_grad_()

    def way(convolution: Callable[[], Tensor]) -> Way:
        def forward() -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False):
                return convolution()

        y = forward()
        return Way(forward, lambda: torch.autograd.grad(y, (x, weight), gradient, retain_graph=True))

    return {
        "library": way(lambda: functional.conv2d(x, weight, padding=1, groups=case.chs)),
        "triton": way(lambda: depthwise_conv3x3(x, weight)),
        "triton, two passes": way(lambda: depthwise_conv3x3(x, weight, one_pass=False)),
    }
