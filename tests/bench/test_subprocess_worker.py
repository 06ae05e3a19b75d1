"""A workload in a process of its own."""

import contextlib
import os

import pytest
import torch

from hybridsep.bench import timing
from hybridsep.bench.subprocess_worker import SubprocessWorkload

CPU = torch.device("cpu")


class Fragile(timing.Workload):
    """A side that breaks at one number of steps and takes its process along at another."""

    def __init__(self, work):
        self.work, self.shares = work, []

    def run(self, steps):
        if steps == 13:
            raise ValueError("thirteen steps")
        if steps == 666:
            os._exit(7)
        self.shares.append(os.getpid())


def test_a_side_in_a_process_of_its_own_answers_and_its_end_is_noticed():
    with contextlib.closing(SubprocessWorkload(Fragile, 5.0)) as side:
        assert side.work == 5.0
        for _ in range(2):
            timing.time_block(side, 3, CPU)
        assert side.seconds > 0
        assert len(side.shares) == 2 and len(set(side.shares) | {os.getpid()}) == 2
        with pytest.raises(ValueError, match="thirteen steps"):
            side.run(13)
        side.run(3)
        with pytest.raises(RuntimeError, match="terminated abruptly"):
            side.run(666)
    with pytest.raises(TypeError):
        SubprocessWorkload(Fragile)
