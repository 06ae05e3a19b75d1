"""Blocks in turn, in rounds."""

import pytest
import torch

from hybridsep.bench import timing
from hybridsep.bench.timing import Spread, Workload, spread, time_in_rounds
from hybridsep.runs.stop import Stopped

CPU = torch.device("cpu")


def test_rates_and_ratios_of_alternating_rounds(monkeypatch):
    class Side(timing.Workload):
        def __init__(self, work):
            self.work = work

    slow, fast = Side(10.0), Side(30.0)
    order = []

    def timed(side, steps, _device):
        order.append(side)
        # Both take 0.1 s a step; after three calls each and two rounds everything takes twice as long.
        return steps * 0.1 * (2 if len(order) > 10 else 1)

    monkeypatch.setattr(timing, "time_block", timed)
    found = timing.time_in_rounds({"slow": slow, "fast": fast}, CPU, seconds=0.4, rounds=4)
    assert order[-8:] == [slow, fast, fast, slow, slow, fast, fast, slow]
    assert found["slow"].rates == pytest.approx([100, 100, 50, 50])
    assert found["fast"].rates == pytest.approx([300, 300, 150, 150]) and found["fast"].steps == 4
    assert timing.ratios(found["fast"].rates, found["slow"].rates) == pytest.approx([3.0] * 4)


def test_a_block_is_ended_also_when_it_fails():
    class Broken(timing.Workload):
        work, ended = 1.0, 0

        def step(self):
            raise ZeroDivisionError

        def end(self):
            self.ended += 1

    side = Broken()
    with pytest.raises(ZeroDivisionError):
        timing.time_block(side, 1, CPU)
    assert side.ended == 1


def test_blocks_are_of_one_workload_each_in_rounds():
    calls = []

    class Noted(Workload):
        def __init__(self, batch: int):
            self.work = batch

        def run(self, steps):
            calls.append(self.work)

    workloads = {"single": Noted(1), "many": Noted(8)}
    found = time_in_rounds(workloads, CPU, seconds=1e-9, rounds=3)
    # Every round begins with another one.
    assert calls[-6:] == [1, 8, 8, 1, 1, 8]
    assert {key: len(timed.rates) for key, timed in found.items()} == {"single": 3, "many": 3}
    assert spread([1.0, 2.0, 3.0, 4.0, 10.0]) == Spread(median=3.0, iqr=2.0, n=5)
    before = len(calls)
    with pytest.raises(Stopped):
        time_in_rounds(workloads, CPU, seconds=1e-9, rounds=3, stop=lambda: len(calls) == before + 4)
    assert len(calls) == before + 4
