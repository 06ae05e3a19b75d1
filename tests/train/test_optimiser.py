"""Initial weights, learning rates, and our SGD against torch's, bit for bit, on the CPU and in a CUDA graph."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hybridsep.config.schema import ScheduleConfig
from hybridsep.runs.seeds import seed
from hybridsep.train.optimiser import initialise, learning_rates, sgd

DECAY = 5e-4
RATES = (0.1, 0.3, 0.0, 0.07, 0.02)


def network(device: str) -> nn.Module:
    """Convolutions with kernels and a depthwise one, channels last, BatchNorm, a linear head with bias."""
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.Conv2d(8, 5, 1, bias=False),
    )
    made = nn.Sequential(*layers, nn.Flatten(), nn.Linear(5 * 4 * 4, 7))
    return made.to(device=device, memory_format=torch.channels_last)


def torchs_sgd(made: nn.Module, *, momentum: float, nesterov: bool) -> torch.optim.SGD:
    groups = [
        {"params": [p for p in made.parameters() if p.ndim > 1], "weight_decay": DECAY},
        {"params": [p for p in made.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    rate = torch.zeros((), device=next(made.parameters()).device)
    return torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=nesterov, fused=True)


def step(made: nn.Module, optimiser, x: torch.Tensor) -> None:
    optimiser.zero_grad()
    made(x).square().mean().backward()
    optimiser.step()


def inputs(device: str) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(len(RATES), 4, 3, 6, 6, generator=generator)
    return [each.contiguous(memory_format=torch.channels_last).to(device) for each in drawn]


def assert_same_bits(ours: nn.Module, theirs: nn.Module, velocities, their_state) -> None:
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    for number, (left, right) in enumerate(pairs):
        assert torch.equal(left, right), f"parameter {number}"
        velocity = their_state[right].get("momentum_buffer")
        assert velocity is None or torch.equal(velocities[left], velocity), f"parameter {number}"


@pytest.mark.parametrize("momentum, nesterov", [(0.9, True), (0.9, False), (0.5, True), (0.0, False)])
def test_same_bits_as_torchs(momentum, nesterov):
    ours, theirs = network("cpu"), network("cpu")
    mine = sgd(ours, momentum=momentum, nesterov=nesterov, weight_decay=DECAY)
    reference = torchs_sgd(theirs, momentum=momentum, nesterov=nesterov)
    for rate, x in zip(RATES, inputs("cpu"), strict=True):
        mine.rate.fill_(rate)
        for group in reference.param_groups:
            group["lr"].fill_(rate)
        step(ours, mine, x)
        step(theirs, reference, x)
    assert_same_bits(ours, theirs, mine.velocity, reference.state)


def test_a_parameter_without_gradient_is_left_alone():
    made = network("cpu")
    optimiser = sgd(made, momentum=0.9, nesterov=True, weight_decay=DECAY)
    optimiser.rate.fill_(0.1)
    for parameter in made[0].parameters():
        parameter.requires_grad_(False)
    before = [parameter.clone() for parameter in made.parameters()]
    step(made, optimiser, inputs("cpu")[0])
    changed = [not torch.equal(old, new) for old, new in zip(before, made.parameters(), strict=True)]
    assert changed == [False] + [True] * (len(before) - 1)


def test_zero_grad_forgets():
    made = network("cpu")
    optimiser = sgd(made, momentum=0.9, nesterov=True, weight_decay=DECAY)
    step(made, optimiser, inputs("cpu")[0])
    optimiser.zero_grad()
    assert all(parameter.grad is None for parameter in made.parameters())


@pytest.mark.gpu
def test_captured_steps_are_torchs_steps():
    """One step as it stands, the next captured and replayed with other inputs and rates: the same bits as torch's."""
    torch.backends.cudnn.deterministic = True
    ours, theirs = network("cuda"), network("cuda")
    mine = sgd(ours, momentum=0.9, nesterov=True, weight_decay=DECAY)
    reference = torchs_sgd(theirs, momentum=0.9, nesterov=True)
    rate, x = mine.rate, torch.empty_like(inputs("cuda")[0])
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    for number, (value, images) in enumerate(zip(RATES, inputs("cuda"), strict=True)):
        reference.param_groups[0]["lr"].fill_(value)
        reference.param_groups[1]["lr"].fill_(value)
        step(theirs, reference, images)
        rate.fill_(value)
        x.copy_(images)
        torch.cuda.synchronize()
        if number == 0:
            with torch.cuda.stream(stream):
                step(ours, mine, x)
        elif number == 1:
            with torch.cuda.graph(graph, stream=stream):
                step(ours, mine, x)
        if number >= 1:
            graph.replay()
        torch.cuda.synchronize()
    assert_same_bits(ours, theirs, mine.velocity, reference.state)


def test_initial_weights_depend_on_trial_and_name_only():
    def first_weight(trial: int, study_seed: int, extra: bool) -> torch.Tensor:
        layers = [torch.nn.Conv2d(4, 4, 3, bias=False)] + ([torch.nn.Linear(4, 2)] if extra else [])
        network = torch.nn.Sequential(*layers)
        initialise(network, study_seed=study_seed, trial=trial)
        return network[0].weight

    weight = first_weight(0, 0, False)
    assert torch.equal(weight, first_weight(0, 0, True))
    assert not torch.equal(weight, first_weight(1, 0, False))
    assert not torch.equal(weight, first_weight(0, 1, False))
    assert seed(0, "init", 1) != seed(0, "init", "1")


def test_learning_rate_warms_up_and_reaches_zero():
    schedule = ScheduleConfig(
        name="test",
        epochs=10,
        batch_size=1,
        learning_rate=1.0,
        warmup_epochs=2,
        decay="cosine",
        decay_steps=[0.5, 0.75],
        decay_factor=0.1,
        decay_power=4.0,
        momentum=0.9,
        nesterov=True,
        weight_decay=0.0,
        label_smoothing=0.0,
    )

    def rates(**changes):
        return learning_rates(replace(schedule, **changes), steps_per_epoch=10)

    cosine = rates()
    assert cosine[0] == np.float32(0.05) and cosine[19] == cosine[20] == 1 and cosine[60] == 0.5 and cosine[-1] < 1e-3
    step = rates(warmup_epochs=0, decay="step")
    assert step.tolist() == pytest.approx([1.0] * 50 + [0.1] * 25 + [0.01] * 25)
    polynomial = rates(warmup_epochs=0, decay="polynomial")
    assert polynomial[50] == pytest.approx(0.5**4)


def test_weight_decay_spares_batch_norm_and_biases():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1))
    groups = sgd(network, momentum=0.9, nesterov=True, weight_decay=0.5).groups
    shapes = {group.weight_decay: sorted(parameter.ndim for parameter in group.params) for group in groups}
    assert shapes == {0.5: [4], 0.0: [1, 1, 1]}
