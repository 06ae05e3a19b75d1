"""Memory against counting by hand."""

import torch
from torch import nn

from hybridsep.bench.memory import counting, step_bytes
from hybridsep.bench.timing import Workload

CPU = torch.device("cpu")


def test_memory_is_counted_as_by_hand():
    kilobyte = torch.zeros(256)

    def peak(call):
        with counting(CPU) as counter:
            call()
            return counter.peak

    def three_then_two():
        one = kilobyte + 1
        two = one * 2
        del one
        three = two.view(16, 16) + 1  # a view takes nothing
        two.add_(1)  # nor does work in place
        return three

    assert peak(lambda: (three_then_two(), kilobyte + 1)) == 2 * 1024
    layer = nn.Linear(256, 256, bias=False)
    x = torch.zeros(2, 256, requires_grad=True)
    # The sum and its gradient, the gradients of the weights and of x; the layer's result is gone by then.
    assert peak(lambda: layer(x).sum().backward()) == 4 * (1 + 1 + 256 * 256 + 2 * 256)


def test_what_a_workload_keeps_counts_and_what_only_its_making_took_does_not():
    class Adding(Workload):
        work = 1.0

        def __init__(self):
            self.kept = torch.zeros(1024).add(torch.zeros(1024)).clone()

        def run(self, steps):
            results = [self.kept + 1 for _ in range(steps)]
            del results

    # 4 KiB kept, and two results of a block's two steps at once; twelve while it is made are no matter.
    assert step_bytes(Adding, CPU) == 3 * 4096
