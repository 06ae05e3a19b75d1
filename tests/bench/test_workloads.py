"""Every variant trains the same, and what is timed of a graph is a graph."""

import dataclasses
import threading

import pytest
import torch
from refusals import refused

from hybridsep.bench import memory, timing
from hybridsep.bench.variants import ablation
from hybridsep.bench.workloads import ConcurrentTrials
from hybridsep.train.graph import TrialStream

CPU = torch.device("cpu")
VARIANTS = ablation(at_once=2, gpu=False, bfloat16=True, glibc=True, fast=False, compiled=False)


def losses_of(trial):
    return trial.training.step.losses


def test_every_variant_trains_the_same_network_on_the_same_batches(workloads):
    found = {}
    for variant in VARIANTS[1:5]:
        side = workloads.make(variant)
        # Seven steps of four an epoch: the second epoch has another order and other crops, the same in every variant.
        for steps in (4, 3):
            timing.time_block(side, steps, CPU)
        found[variant.name] = side.losses / 3 if hasattr(side, "losses") else float(losses_of(side)[:3].mean())
    device, channels_last, bfloat16, ours = found.values()
    assert device == pytest.approx(channels_last, rel=1e-4) and bfloat16 == pytest.approx(ours, rel=1e-2)
    assert bfloat16 == pytest.approx(device, rel=3e-2) and bfloat16 != device
    exact = workloads.make(dataclasses.replace(VARIANTS[4], bfloat16=False))
    timing.time_block(exact, 7, CPU)
    assert float(losses_of(exact)[:3].mean()) == pytest.approx(device, rel=1e-4)


@pytest.mark.slow
def test_a_compiled_network_trains_the_same(workloads):
    """Needs a C++ compiler and most of a minute."""
    plain, compiled = (workloads.make(dataclasses.replace(VARIANTS[4], compiled=way)) for way in (False, True))
    for side in (plain, compiled):
        timing.time_block(side, 4, CPU)
    torch.testing.assert_close(losses_of(compiled), losses_of(plain), rtol=3e-2, atol=0)
    assert workloads.memory(dataclasses.replace(VARIANTS[4], compiled=True)) == workloads.memory(VARIANTS[4])


def test_trials_side_by_side_are_those_of_one_alone(workloads):
    one, both = workloads.make(VARIANTS[4]), workloads.make(dataclasses.replace(VARIANTS[7], kept=False))
    assert isinstance(both, ConcurrentTrials) and both.work == 2 * one.work
    for side in (one, both):
        timing.time_block(side, 3, CPU)
    alone, first, second = map(losses_of, (one, *both.trials))
    assert torch.equal(alone, first) and not torch.equal(first, second)
    # Counted for one trial and multiplied; a dataset is in neither.
    assert workloads.memory(VARIANTS[7]) == 2 * workloads.memory(VARIANTS[4]) > 0


def captured(row, at_once, monkeypatch, *, fails=False):
    """A workload whose steps a stream would capture, and the thread that each step of each trial was made in."""
    calls = []

    def training(self, step, *, generator=None):
        threads = []
        calls.append(threads)

        def advance():
            threads.append(threading.current_thread())
            if fails and len(threads) == 4:
                self._failed("CUDA error: made up")
            step()

        return advance

    monkeypatch.setattr(TrialStream, "training", training)
    return row.make(dataclasses.replace(VARIANTS[4], graph=True, at_once=at_once)), calls


@pytest.mark.parametrize("at_once", [1, 2])
def test_eager_steps_and_their_capture_are_made_in_one_thread(workloads, monkeypatch, at_once):
    work, timed = captured(workloads, at_once, monkeypatch)
    timing.time_in_rounds({"captured": work}, CPU, seconds=1e-9, rounds=1)
    work, counted = captured(workloads, at_once, monkeypatch)
    memory.step_bytes(lambda: work, CPU)
    # Three eager steps, the capture, a replay: cuDNN's plans belong to the thread.
    for calls in (timed, counted):
        assert len(calls) == at_once and all(len(set(threads[:5])) == 1 for threads in calls)


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_failed_capture_is_an_error_and_no_number(workloads, monkeypatch, at_once):
    work, _ = captured(workloads, at_once, monkeypatch, fails=True)
    with refused("CUDA error: made up", key="model=separable"):
        timing.time_in_rounds({"captured": work}, CPU, seconds=1e-9, rounds=1)
