"""From configuration to objects: the one place that turns `_target_` names into datasets and networks."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import hydra
import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig
from torch import nn

from hybridsep import config as configuration
from hybridsep.data import Dataset
from hybridsep.errors import ConfigError
from hybridsep.modules import Separable
from hybridsep.networks import ModuleFactory
from hybridsep.networks.cost import parameters
from hybridsep.networks.match import match_inner_ratio


def plain(config: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain dictionaries, resolved and checked. Raises ConfigError."""
    return configuration.plain(configuration.resolve(config))


def dataset(config: dict[str, Any]) -> Dataset:
    """Return the dataset of a plain configuration. Raises ConfigError and DataError."""
    try:
        return _target(config["data"]["source"], "data.source")()
    except TypeError as error:
        raise ConfigError(f"data.source: {_one_line(error)}") from None


def network_factory(
    config: dict[str, Any], *, classes: int, slot: ModuleFactory | None = None
) -> Callable[[], nn.Module]:
    """Return a function that builds the (not yet initialised) network of a plain configuration."""
    make = _target(config["model"]["network"], "model.network")
    filled = partial(make, slot or _slot(config), in_chs=3, classes=classes)

    def build() -> nn.Module:
        try:
            return filled()
        except TypeError as error:
            raise ConfigError(f"model.network: {_one_line(error)}") from None

    return build


def _slot(config: dict[str, Any]) -> ModuleFactory:
    keywords = dict(config["model"]["module"])
    target = keywords.pop("_target_", None)
    try:
        return ModuleFactory(hydra.utils.get_class(target), keywords)
    except (ImportError, ValueError, TypeError, InstantiationException) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"model.module._target_={target}: {_one_line(error)}") from None


def matched(config: dict[str, Any], *, classes: int, height: int, width: int) -> dict[str, Any]:
    """Return the configuration with `model.module.inner_ratio` chosen by `match`.

    `match=params` gives a module with inner widths the parameter count of the baseline in the same network, within 2 %;
    modules without inner widths are left as they are. Raises ConfigError when no width comes near enough.
    """
    if config["match"] == "none" or "inner_ratio" not in config["model"]["module"]:
        return config
    slot = _slot(config)

    def params(candidate: ModuleFactory) -> int:
        # Only the shapes are asked for, and building on "meta" allocates none of them.
        with torch.device("meta"):
            network = network_factory(config, classes=classes, slot=candidate)()
        return parameters(network)

    baseline = params(ModuleFactory(Separable, {"intermediate_activation": "none"}))
    ratio = match_inner_ratio(lambda value: params(slot.with_keywords(inner_ratio=value)), baseline)
    result = copy.deepcopy(config)
    result["model"]["module"]["inner_ratio"] = ratio
    return result


def _target(node: dict[str, Any], key: str) -> Callable[..., Any]:
    try:
        return hydra.utils.instantiate(node, _partial_=True, _convert_="all")
    except InstantiationException as error:
        raise ConfigError(f"{key}: {_one_line(error)}") from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
