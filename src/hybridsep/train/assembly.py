"""One assembly of a training: what is trained, and what is timed, is put together here and nowhere else."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from hybridsep.config import Config
from hybridsep.config.identity import science
from hybridsep.config.schema import NumberFormat
from hybridsep.data.augmentation import Augmentation
from hybridsep.modules.fast import use_fast
from hybridsep.networks.stochastic import give_generator
from hybridsep.runs import seeds
from hybridsep.train.compiling import compile_network
from hybridsep.train.optimiser import SGD, initialise, sgd
from hybridsep.train.step import DeviceData, Evaluation, TrainingStep


@dataclass(frozen=True)
class Training:
    """The parts of one trial's training on its device, with its initial weights, before the first step."""

    network: nn.Module
    generator: torch.Generator  # what dropout and drop-path draw from, as at the beginning of epoch 1
    optimiser: SGD
    augmentation: Augmentation
    step: TrainingStep
    evaluation: Evaluation


@dataclass(frozen=True)
class Ways:
    """Ways to carry a training out, which change its speed and its rounding.

    `precision` is of the forward pass, `fast`: with the modules' fast ways (`hybridsep.modules.fast`), `compiled`: by
    `torch.compile`.
    """

    precision: NumberFormat
    fast: bool
    compiled: bool = False
    channels_last: bool = True


def ways_of(config: Config, device: torch.device) -> Ways:
    """Return the ways of a trial; fast=auto is on on a CPU, and off on a GPU, where it was not measured."""
    assert config.precision != "auto"  # as `prepare` decided
    fast = device.type == "cpu" if config.fast == "auto" else config.fast
    return Ways(config.precision, fast, config.compile)


def assemble(
    config: Config,
    *,
    data: DeviceData,
    device: torch.device,
    trial: int,
    build: Callable[[], nn.Module],
    ways: Ways | None = None,
) -> Training:
    """Return the training that a configuration describes.

    `build` makes the network without its initial weights (`hybridsep.train.build.network_factory`). `ways` are given by
    measurements that compare them; left out, they are a trial's. Raises ConfigError when an epoch cannot be drawn from
    so few images.
    """
    schedule = config.schedule
    ways = ways or ways_of(config, device)
    network, generator = initial_network(config, build, device=device, trial=trial, ways=ways)
    optimiser = sgd(network, momentum=schedule.momentum, nesterov=schedule.nesterov, weight_decay=schedule.weight_decay)
    augmentation = Augmentation(
        config.augmentation,
        count=len(data.train_images),
        height=data.test_images.shape[1],
        batch_size=schedule.batch_size,
        study_seed=stream_seed(config),
    )
    if ways.compiled:
        compile_network(network)
    step = TrainingStep(
        network,
        optimiser,
        data,
        augmentation,
        label_smoothing=schedule.label_smoothing,
        precision=ways.precision,
    )
    evaluation = Evaluation(network, data, size=augmentation.size, precision=ways.precision)
    return Training(network, generator, optimiser, augmentation, step, evaluation)


def initial_network(
    config: Config,
    build: Callable[[], nn.Module],
    *,
    device: torch.device,
    trial: int,
    ways: Ways | None = None,
) -> tuple[nn.Module, torch.Generator]:
    """Return a trial's network with its initial weights, and the generator that its stochastic layers draw from."""
    seed = stream_seed(config)
    network = build()
    initialise(network, study_seed=seed, trial=trial)
    ways = ways or ways_of(config, device)
    layout = torch.channels_last if ways.channels_last else torch.contiguous_format
    network.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    if ways.fast:
        use_fast(network)
    generator = torch.Generator(device).manual_seed(dropout_seed(seed, trial=trial, epoch=1))
    give_generator(network, generator)
    return network, generator


def dropout_seed(study_seed: int, *, trial: int, epoch: int) -> int:
    """Return the seed with which a trial's generator begins an epoch."""
    return seeds.seed(study_seed, "dropout", trial, epoch)


def stream_seed(config: Config) -> int:
    """Return the seed of all streams: the study's, so that trials are paired, or one that the model takes part in."""
    if config.paired:
        return config.seed
    return seeds.seed(config.seed, "unpaired", json.dumps(science(config)["model"], sort_keys=True))
