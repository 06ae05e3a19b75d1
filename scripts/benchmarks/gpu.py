"""What a GPU reaches in this process: bandwidth of a copy, and rate of a bfloat16 matrix product."""

from dataclasses import dataclass
from statistics import median

import torch

from hybridsep.bench.timing import Repeated, time_in_rounds

_COPY_BYTES = 1 << 30
_SIDE = 8192


@dataclass(frozen=True)
class Reached:
    """Rates of a GPU, the median of 7 rounds."""

    bytes_per_second: float
    flops_per_second: float

    def floor(self, moved: int, operations: int) -> float:
        """Return the seconds that moving so many bytes and doing so many operations take at least."""
        return max(moved / self.bytes_per_second, operations / self.flops_per_second)


def reached(device: torch.device) -> Reached:
    """Return bytes/s of a copy and operations/s of a matrix product on a GPU.

    Copied is 1 GiB of bfloat16, which is read and written; multiplied are two 8192 x 8192 bfloat16 matrices of random
    values, as in training.
    """
    source = torch.zeros(_COPY_BYTES // 2, dtype=torch.bfloat16, device=device)
    target = torch.empty_like(source)
    generator = torch.Generator(device).manual_seed(0)
    left, right = (
        torch.randn((_SIDE, _SIDE), generator=generator, device=device, dtype=torch.bfloat16) for _ in range(2)
    )
    product = torch.empty_like(left)
    workloads = {
        "copy": Repeated(lambda: target.copy_(source), 2.0 * _COPY_BYTES),
        "product": Repeated(lambda: torch.mm(left, right, out=product), 2.0 * _SIDE**3),
    }
    timed = time_in_rounds(workloads, device, seconds=0.1, rounds=7)
    return Reached(median(timed["copy"].rates), median(timed["product"].rates))
