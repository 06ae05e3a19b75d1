"""What the trials of one row have in common, resolved and checked before anything is written."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from hybridsep.config import Config
from hybridsep.data import Dataset
from hybridsep.data.augmentation import doubts
from hybridsep.data.subset import HELD_OUT, held_out
from hybridsep.errors import ConfigError
from hybridsep.networks.cost import Cost, cost_of
from hybridsep.runs import provenance, records
from hybridsep.train import build, precision
from hybridsep.train.compiling import check_compiler, check_concurrency
from hybridsep.train.step import DeviceData

_PAPER_SHARE = 0.6  # 6,000 of CIFAR-10's 10,000 test images
_PAPER_SHARE_OF_ALL = 0.1  # of its 60,000 images, where they are held out of training


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

    @property
    def own_images(self) -> bool:
        """Whether each trial has training and test images of its own."""
        return self.config.evaluation.subset == HELD_OUT

    def folder_of(self, trial: int) -> Path:
        """Return the folder of a trial."""
        return records.run_folder(Path(self.config.results), self.config.study, self.config.row, trial)

    def on_device(self, dataset: Dataset) -> DeviceData:
        """Copy images to the row's device."""
        data = self.config.data
        loaded = DeviceData.load(
            dataset, self.device, padding=self.config.augmentation.padding, mean=data.mean, std=data.std
        )
        if self.device.type == "cuda":
            # The data came through the default stream; every trial has one of its own.
            torch.cuda.synchronize(self.device)
        return loaded

    def dataset_of(self, trial: int) -> Dataset:
        """Return the images of a trial: `dataset`, or its own, the same for every model. Raises DataError."""
        if not self.own_images:
            return self.dataset
        images, pooled = self.config.evaluation.images, len(self.dataset.train_labels) + len(self.dataset.test_labels)
        assert images is not None  # as `prepare` decided
        chosen = held_out(images=images, pooled=pooled, study_seed=self.config.seed, trial=trial)
        return self.dataset.held_out(chosen)


def prepare(config: Config) -> PreparedRow:
    """Decide what a configuration leaves open, check it, load its dataset, and set the process up for its device.

    Everything that can be wrong with the configuration or the data raises ConfigError or DataError here.
    """
    provenance.git_state()  # a HYBRIDSEP_COMMIT that is no commit ends here
    device = precision.resolve_device(config.device)
    threads = precision.prepare(device, config.threads)
    decided, note = precision.resolve_precision(config.precision, device)
    if config.compile:
        check_compiler(device, config.data_dir)
        check_concurrency(device, trials_at_once=config.trials_at_once, cuda_graph=config.cuda_graph)
    dataset = build.dataset(config)
    images = _images(config, dataset)
    config = replace(config, evaluation=replace(config.evaluation, images=images))
    side = config.augmentation.crop or dataset.test_images.shape[1]
    classes = len(dataset.classes)
    config = build.matched(replace(config, precision=decided), classes=classes, height=side, width=side)
    make = build.network_factory(config, classes=classes)
    _check_batch(config.schedule.batch_size, make, side)
    cost = cost_of(make(), height=side, width=side)
    height = dataset.train_images.shape[1]
    notes = [*([note] if note else []), *doubts(config.augmentation, height=height, classes=dataset.classes)]
    return PreparedRow(config, device, threads, dataset, make, cost, tuple(notes))


def _images(config: Config, dataset: Dataset) -> int:
    """Return how many images count. Raises ConfigError for more than there are, or too few to train on."""
    trained, tested = len(dataset.train_images), len(dataset.test_images)
    images, batch = config.evaluation.images, config.schedule.batch_size
    if config.evaluation.subset == HELD_OUT:
        pooled = trained + tested
        images = images or max(1, round(_PAPER_SHARE_OF_ALL * pooled))
        held_out(images=images, pooled=pooled, study_seed=config.seed, trial=0)  # refuses what is out of range
        trained = pooled - images
    else:
        images = images or round(_PAPER_SHARE * tested)
        if images > tested:
            raise ConfigError(f"evaluation.images={images} is not allowed: there are {tested} test images")
    if batch > trained:
        fits = 1 << max(0, (trained // 2).bit_length() - 1)
        raise ConfigError(
            f"schedule.batch_size={batch} is not allowed: there are {trained} training images; add, for instance,"
            f" schedule.batch_size={fits}"
        )
    return images


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
