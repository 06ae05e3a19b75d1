"""What the trials of one row have in common, resolved and checked before anything is written."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from hybridsep.config import Config
from hybridsep.data import Dataset
from hybridsep.errors import ConfigError
from hybridsep.networks.cost import Cost, cost_of
from hybridsep.runs import provenance
from hybridsep.train import build, precision
from hybridsep.train.compiling import check_compiler, check_concurrency

_PAPER_SHARE = 0.6  # 6,000 of CIFAR-10's 10,000 test images


@dataclass(frozen=True)
class PreparedRow:
    """A configuration with every choice made, its dataset, and how to build its network.

    `notes` are lines worth saying once training begins, and not before: an error must stay one line. `commit_seconds`:
    epochs that end sooner after a commit share the next one, since a checkpoint takes 30 to 200 ms.
    """

    config: Config
    device: torch.device
    threads: int
    dataset: Dataset
    build: Callable[[], nn.Module]
    cost: Cost
    notes: tuple[str, ...]
    commit_seconds: float = 15.0


def prepare(config: Config) -> PreparedRow:
    """Decide what a configuration leaves open, check it, load its dataset, and set the process up for its device.

    Everything that can be wrong with the configuration or the data raises ConfigError or DataError here.
    """
    provenance.git_state()  # a HYBRIDSEP_COMMIT that is no commit ends here
    device = precision.resolve_device(config.device)
    threads = precision.prepare(device, config.threads)
    decided, note = precision.resolve_precision(config.precision, device)
    if config.compile:
        check_compiler(device)
        check_concurrency(device, trials_at_once=config.trials_at_once, cuda_graph=config.cuda_graph)
    dataset = build.dataset(config)
    images = config.evaluation.images
    if images is None:
        images = round(_PAPER_SHARE * len(dataset.test_images))
    _check(dataset, batch=config.schedule.batch_size, images=images)
    config = replace(config, evaluation=replace(config.evaluation, images=images))
    side = config.augmentation.crop or dataset.test_images.shape[1]
    classes = len(dataset.classes)
    config = build.matched(replace(config, precision=decided), classes=classes, height=side, width=side)
    make = build.network_factory(config, classes=classes)
    _check_batch(config.schedule.batch_size, make, side)
    cost = cost_of(make(), height=side, width=side)
    return PreparedRow(config, device, threads, dataset, make, cost, (note,) if note else ())


def _check(dataset: Dataset, *, batch: int, images: int) -> None:
    trained, tested = len(dataset.train_images), len(dataset.test_images)
    if batch > trained:
        fits = 1 << max(0, (trained // 2).bit_length() - 1)
        raise ConfigError(
            f"schedule.batch_size={batch} is not allowed: there are {trained} training images; add, for instance,"
            f" schedule.batch_size={fits}"
        )
    if images > tested:
        raise ConfigError(f"evaluation.images={images} is not allowed: there are {tested} test images")


def _check_batch(batch: int, make: Callable[[], nn.Module], side: int) -> None:
    """Raise ConfigError for a single image a step where BatchNorm would be left with a single value per channel."""
    if batch > 1:
        return
    with torch.device("meta"):  # shapes alone say so
        network, image = make(), torch.empty(1, 3, side, side)
    try:
        network.train()(image)
    except ValueError as error:  # of BatchNorm
        raise ConfigError(
            f"schedule.batch_size=1 is not allowed with images of {side} x {side} pixels: at least 2, because BatchNorm"
            f" needs more than one value per channel ({' '.join(str(error).split())})"
        ) from None
