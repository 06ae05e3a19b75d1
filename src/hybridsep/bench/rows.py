"""Configurations and data of the rows that are measured: those of the run program."""

from collections.abc import Sequence

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from hybridsep import config as configuration
from hybridsep.config import Config
from hybridsep.data import Dataset
from hybridsep.errors import ConfigError
from hybridsep.launch.explain import explain
from hybridsep.train import build


def compose(words: Sequence[str]) -> Config:
    """Return the configuration of `python -m hybridsep.run` with these words. Raises ConfigError."""
    configuration.register()
    try:
        with hydra.initialize_config_dir(str(configuration.config_dir()), **configuration.hydra_defaults()):
            return configuration.resolve(hydra.compose("config", list(words)))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from None


def of_models(models: Sequence[str], *, size: str, batch: int) -> list[Config]:
    """Return the configurations of these models on the built-in data. Raises ConfigError."""
    words = (f"size={size}", "data=synthetic", f"schedule.batch_size={batch}")
    return [compose([f"model={model}", *words]) for model in models]


def dataset(*, train: int, test: int = 1000) -> Dataset:
    """Return the built-in dataset with so many 32x32 images: no download, and pictures rather than noise."""
    return build.dataset(compose(["data=synthetic", f"data.source.train={train}", f"data.source.test={test}"]))
