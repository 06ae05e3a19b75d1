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


def assemble(
    config: Config,
    *,
    data: DeviceData,
    device: torch.device,
    trial: int,
    build: Callable[[], nn.Module],
    precision: NumberFormat | None = None,
    channels_last: bool = True,
    fast: bool | None = None,
    compiled: bool | None = None,
) -> Training:
    """Return the training that a configuration describes.

    `build` makes the network without its initial weights (`hybridsep.train.build.network_factory`). The other keywords
    are for measurements that compare ways of training; left out, each is what a trial takes, from the configuration:
    `precision` (bfloat16 or float32), `compiled` (`torch.compile`), and `fast` (`hybridsep.modules.fast`), whose "auto"
    is on on a CPU, and off on a GPU, where it was not measured. Raises ConfigError when an epoch cannot be drawn from
    so few images.
    """
    schedule = config.schedule
    number_format = precision or config.precision
    assert number_format != "auto"  # as `prepare` decided
    network, generator = initial_network(
        config, build, device=device, trial=trial, channels_last=channels_last, fast=fast
    )
    optimiser = sgd(network, momentum=schedule.momentum, nesterov=schedule.nesterov, weight_decay=schedule.weight_decay)
    augmentation = Augmentation(
        config.augmentation,
        count=len(data.train_images),
        height=data.test_images.shape[1],
        batch_size=schedule.batch_size,
        study_seed=stream_seed(config),
    )
    if config.compile if compiled is None else compiled:
        compile_network(network)
    step = TrainingStep(
        network,
        optimiser,
        data,
        augmentation,
        label_smoothing=schedule.label_smoothing,
        precision=number_format,
    )
    evaluation = Evaluation(network, data, size=augmentation.size, precision=number_format)
    return Training(network, generator, optimiser, augmentation, step, evaluation)


def initial_network(
    config: Config,
    build: Callable[[], nn.Module],
    *,
    device: torch.device,
    trial: int,
    channels_last: bool = True,
    fast: bool | None = None,
) -> tuple[nn.Module, torch.Generator]:
    """Return a trial's network with its initial weights, and the generator that its stochastic layers draw from."""
    seed = stream_seed(config)
    network = build()
    initialise(network, study_seed=seed, trial=trial)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    if fast is None:
        fast = device.type == "cpu" if config.fast == "auto" else config.fast is True
    if fast:
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
