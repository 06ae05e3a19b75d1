"""What a GPU reaches in this process: bandwidth of a copy, rate of a bfloat16 matrix product, and its busy share."""

import time
from collections.abc import Iterable

import torch

from hybridsep.bench.timing import Repeated, Workload, synchronise, time_in_rounds

_COPY_BYTES = 1 << 30
_SIDE = 8192


def reached(device: torch.device) -> tuple[list[float], list[float]]:
    """Return bytes/s of a copy and operations/s of a matrix product on a GPU, one value for each of 7 rounds.

    Copied is 1 GiB of bfloat16, which is read and written; multiplied are two 8192 x 8192 bfloat16 matrices of random
    values, as in training.
    """
    source = torch.zeros(_COPY_BYTES // 2, dtype=torch.bfloat16, device=device)
    target = torch.empty_like(source)
    generator = torch.Generator(device).manual_seed(0)
    options = {"generator": generator, "device": device, "dtype": torch.bfloat16}
    left, right = (torch.randn((_SIDE, _SIDE), **options) for _ in range(2))
    product = torch.empty_like(left)
    workloads = {
        "copy": Repeated(lambda: target.copy_(source), 2.0 * _COPY_BYTES),
        "product": Repeated(lambda: torch.mm(left, right, out=product), 2.0 * _SIDE**3),
    }
    timed = time_in_rounds(workloads, device, seconds=0.1, rounds=7)
    return timed["copy"].rates, timed["product"].rates


def busy_share(workload: Workload, steps: int, device: torch.device) -> float:
    """Return the part of the time of a block in which at least one kernel or copy ran on the GPU."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    workload.ready()
    synchronise(device)
    # Without acc_events torch 2.11 warns of cycles, of which there is one.
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiler:
        begun = time.perf_counter()
        workload.run(steps)
        synchronise(device)
        wall = time.perf_counter() - begun
    workload.end()
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
