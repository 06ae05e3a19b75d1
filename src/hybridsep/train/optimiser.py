"""Initial weights from named streams, the learning-rate table, and SGD."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hybridsep.config.schema import ScheduleConfig
from hybridsep.runs import seeds


@torch.no_grad()
def initialise(network: nn.Module, *, study_seed: int, trial: int) -> None:
    """Fill every parameter of `network` in place, each from the stream (study seed, "init", trial, parameter name).

    Convolutions and linear layers: normal with variance 2 / fan-in (He et al. 2015); biases 0; BatchNorm 1 and 0; the
    slope of a PReLU 0.25.
    A parameter's draw depends on its name and shape only, so layers that two networks share start equal in one trial,
    and `separable_equivalent` starts as the same function as `separable`.
    """
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            generator = torch.Generator().manual_seed(seeds.seed(study_seed, "init", trial, name))
            fan_in = parameter[0].numel()
            drawn = torch.empty(parameter.shape).normal_(0.0, math.sqrt(2.0 / fan_in), generator=generator)
            parameter.copy_(drawn)
        else:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
        elif isinstance(module, nn.PReLU):
            module.weight.fill_(0.25)


def learning_rates(schedule: ScheduleConfig, *, steps_per_epoch: int) -> np.ndarray:
    """Return the learning rate of every step, float32 (epochs * steps_per_epoch,).

    A linear warm-up to `learning_rate`, then by progress p in [0, 1) of the other steps: cosine, (1 + cos(pi p)) / 2;
    polynomial, (1 - p) ** decay_power; step, decay_factor for each of `decay_steps` (fractions of training) passed.
    """
    total = schedule.epochs * steps_per_epoch
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    step = np.arange(total, dtype=np.float64)
    progress = np.clip((step - warmup) / max(1, total - warmup), 0.0, 1.0)
    factor: np.ndarray
    if schedule.decay == "cosine":
        factor = (1.0 + np.cos(np.pi * progress)) / 2.0
    elif schedule.decay == "polynomial":
        factor = (1.0 - progress) ** schedule.decay_power
    else:
        passed = np.searchsorted(np.asarray(schedule.decay_steps), step / total, side="right")
        factor = schedule.decay_factor**passed
    rising = np.minimum(1.0, (step + 1.0) / warmup) if warmup else 1.0
    return (schedule.learning_rate * rising * factor).astype(np.float32)


@dataclass(frozen=True)
class ParamGroup:
    """Parameters that share a weight decay."""

    params: list[nn.Parameter]
    weight_decay: float


class SGD:
    """Fused SGD with momentum, bit for bit `torch.optim.SGD(fused=True)`; its update can be captured in a CUDA graph.

    For a gradient g, and d = g + weight decay * parameter: velocity = momentum * velocity + d, and the parameter loses
    rate * velocity, with Nesterov's momentum rate * (d + momentum * velocity). `rate` is a tensor on the parameters'
    device that is read at every step, zero until it is set. `velocity` is zero at first; there is none without
    momentum. Parameters without a gradient are left alone.

    It is ours because making one of torch's imports torch's compiler, half of the time to a first step on a CPU.
    """

    def __init__(self, groups: list[ParamGroup], *, momentum: float, nesterov: bool):
        self.groups = groups
        self._momentum, self._nesterov = momentum, nesterov
        self._parameters = [parameter for group in groups for parameter in group.params]
        self.rate = torch.zeros((), device=self._parameters[0].device)
        self.velocity: dict[nn.Parameter, Tensor] = {}
        if momentum:
            self.velocity = {parameter: torch.zeros_like(parameter) for parameter in self._parameters}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter by its gradient."""
        for group in self.groups:
            pairs = [(parameter, parameter.grad) for parameter in group.params if parameter.grad is not None]
            if not pairs:
                continue
            torch._fused_sgd_(
                [parameter for parameter, _ in pairs],
                [grad for _, grad in pairs],
                [self.velocity[parameter] for parameter, _ in pairs] if self._momentum else [],
                weight_decay=group.weight_decay,
                momentum=self._momentum,
                lr=self.rate,
                dampening=0.0,
                nesterov=self._nesterov,
                maximize=False,
                is_first_step=False,
            )


def sgd(network: nn.Module, *, momentum: float, nesterov: bool, weight_decay: float) -> SGD:
    """Return SGD whose weight decay acts on convolution and linear weights, not on BatchNorm and biases."""
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    plain = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return SGD([ParamGroup(decayed, weight_decay), ParamGroup(plain, 0.0)], momentum=momentum, nesterov=nesterov)
