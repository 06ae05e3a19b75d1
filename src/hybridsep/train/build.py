"""From configuration to objects: the one place that turns `_target_` names into datasets and networks."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from hybridsep import config as configuration
from hybridsep.config.targets import check_keywords, locate
from hybridsep.data import Dataset
from hybridsep.modules import Separable
from hybridsep.networks import ModuleFactory
from hybridsep.networks.cost import parameters
from hybridsep.networks.match import match_inner_ratio


def plain(config: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain dictionaries, resolved and checked. Raises ConfigError."""
    return configuration.plain(configuration.resolve(config))


def dataset(config: dict[str, Any]) -> Dataset:
    """Return the dataset of a plain configuration. Raises ConfigError and DataError."""
    load, keywords = _target(config["data"]["source"], "data.source")
    return load(**check_keywords(load, keywords, "data.source"))


def network_factory(
    config: dict[str, Any], *, classes: int, slot: ModuleFactory | None = None
) -> Callable[[], nn.Module]:
    """Return a function that builds the (not yet initialised) network of a plain configuration. Raises ConfigError."""
    make, keywords = _target(config["model"]["network"], "model.network")
    checked = check_keywords(make, keywords, "model.network", positional=1, supplied=("in_chs", "classes"))
    return partial(make, slot or _slot(config), in_chs=3, classes=classes, **checked)


def _slot(config: dict[str, Any]) -> ModuleFactory:
    cls, keywords = _target(config["model"]["module"], "model.module")
    return ModuleFactory(cls, keywords)


def matched(config: dict[str, Any], *, classes: int, height: int, width: int) -> dict[str, Any]:
    """Return the configuration with every keyword of the module, and `model.module.inner_ratio` chosen by `match`.

    What a module's file leaves to the constructor's default is written out, so that a record holds it.
    `match=params` gives a module with inner widths the parameter count of the baseline in the same network, within 2 %;
    modules without inner widths are left as they are. Raises ConfigError when no width comes near enough.
    """
    slot, result = _slot(config), copy.deepcopy(config)
    result["model"]["module"] |= check_keywords(slot.cls, slot.keywords, "model.module", positional=2)
    if config["match"] == "none" or "inner_ratio" not in result["model"]["module"]:
        return result

    def params(candidate: ModuleFactory) -> int:
        # Only the shapes are asked for, and building on "meta" allocates none of them.
        with torch.device("meta"):
            network = network_factory(config, classes=classes, slot=candidate)()
        return parameters(network)

    baseline = params(ModuleFactory(Separable, {"intermediate_activation": "none"}))
    ratio = match_inner_ratio(lambda value: params(slot.with_keywords(inner_ratio=value)), baseline)
    result["model"]["module"]["inner_ratio"] = ratio
    return result


def _target(node: dict[str, Any], key: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return what `_target_` names and the other keywords of a group."""
    return locate(node.get("_target_"), key), {name: value for name, value in node.items() if name != "_target_"}
