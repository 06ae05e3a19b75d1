"""What a GPU reaches in this process: bandwidth of a copy, rate of a bfloat16 matrix product, and its busy share."""

import time
from collections.abc import Callable, Iterable

import torch

from hybridsep.bench.rounds import alternate
from hybridsep.bench.timing import synchronise

_COPY_BYTES = 1 << 30
_SIDE = 8192


class Copying:
    """Copies 1 GiB of bfloat16 from one place on the device to another; `work` is the bytes read and written."""

    work = 2.0 * _COPY_BYTES

    def __init__(self, device: torch.device):
        self._source = torch.zeros(_COPY_BYTES // 2, dtype=torch.bfloat16, device=device)
        self._target = torch.empty_like(self._source)

    def block(self, steps: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(steps):
                self._target.copy_(self._source)

        return run

    def end(self) -> None:
        pass


class Multiplying:
    """Multiplies two 8192 x 8192 bfloat16 matrices; `work` is 2 * 8192**3 operations. Random values, as in training."""

    work = 2.0 * _SIDE**3

    def __init__(self, device: torch.device):
        generator = torch.Generator(device).manual_seed(0)
        shape, options = (_SIDE, _SIDE), {"generator": generator, "device": device, "dtype": torch.bfloat16}
        self._left, self._right = torch.randn(shape, **options), torch.randn(shape, **options)
        self._product = torch.empty_like(self._left)

    def block(self, steps: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(steps):
                torch.mm(self._left, self._right, out=self._product)

        return run

    def end(self) -> None:
        pass


def reached(device: torch.device) -> tuple[list[float], list[float]]:
    """Return bytes/s of a copy and operations/s of a matrix product on a GPU, one value for each of 7 rounds."""
    copying, multiplying = alternate([Copying(device), Multiplying(device)], device, seconds=0.1, rounds=7)
    torch.cuda.empty_cache()
    return copying, multiplying


def busy_share(run: Callable[[], None], device: torch.device) -> float:
    """Return the part of the time of `run` in which at least one kernel or copy ran on the GPU."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    synchronise(device)
    # Without acc_events torch 2.11 warns of cycles, of which there is one.
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiler:
        begun = time.perf_counter()
        run()
        synchronise(device)
        wall = time.perf_counter() - begun
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in profiler.events()
        if event.device_type == DeviceType.CUDA
    ]
    return covered(spans) / 1e6 / wall


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of intervals; kernels of several streams overlap."""
    total, reach = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reach))
        reach = max(reach, end)
    return total
