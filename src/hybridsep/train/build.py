"""From configuration to objects: the one place that turns `_target_` names into datasets and networks."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from hybridsep.config import Config
from hybridsep.config.schema import ModelConfig
from hybridsep.config.targets import check_keywords, locate
from hybridsep.data import Dataset
from hybridsep.modules import Separable
from hybridsep.networks import ModuleFactory
from hybridsep.networks.cost import parameters
from hybridsep.networks.match import match_inner_ratio

_kept: dict[str, Dataset] | None = None  # inside `one_dataset_kept`: the last dataset, by the keys that name it


@contextlib.contextmanager
def one_dataset_kept() -> Iterator[None]:
    """Meanwhile, keep the last dataset in memory: the rows of a sweep share it."""
    global _kept
    _kept = {}
    try:
        yield
    finally:
        _kept = None


def dataset(config: Config) -> Dataset:
    """Return the dataset of a configuration. Raises ConfigError and DataError."""
    source = config.data.source
    key = json.dumps(source, sort_keys=True, default=repr)
    if _kept is not None and key in _kept:
        return _kept[key]
    load, keywords = _target(source, "data.source")
    loaded: Dataset = load(**check_keywords(load, keywords, "data.source"))
    if _kept is not None:
        _kept.clear()
        _kept[key] = loaded
    return loaded


def network_factory(config: Config, *, classes: int, slot: ModuleFactory | None = None) -> Callable[[], nn.Module]:
    """Return a function that builds the (not yet initialised) network of a configuration. Raises ConfigError."""
    return factory_of(config.model, classes=classes, slot=slot)


def factory_of(model: ModelConfig, *, classes: int, slot: ModuleFactory | None = None) -> Callable[[], nn.Module]:
    """Return a function that builds the (not yet initialised) network of a model. Raises ConfigError."""
    make, keywords = _target(model.network, "model.network")
    checked = check_keywords(make, keywords, "model.network", positional=1, supplied=("in_chs", "classes"))
    return partial(make, slot or _slot(model), in_chs=3, classes=classes, **checked)


def _slot(model: ModelConfig) -> ModuleFactory:
    cls, keywords = _target(model.module, "model.module")
    return ModuleFactory(cast(type[nn.Module], cls), keywords)  # which refuses what is none


def matched(config: Config, *, classes: int, height: int, width: int) -> Config:
    """Return the configuration with every keyword of the module, and `model.module.inner_ratio` chosen by `match`.

    What a module's file leaves to the constructor's default is written out, so that a record holds it.
    `match=params` gives a module with inner widths the parameter count of the baseline in the same network, within 2 %;
    modules without inner widths are left as they are. Raises ConfigError when no width comes near enough.
    """
    slot = _slot(config.model)
    module = config.model.module | check_keywords(slot.cls, slot.keywords, "model.module", positional=2)
    config = replace(config, model=replace(config.model, module=module))
    if config.match == "none" or "inner_ratio" not in module:
        return config

    def params(candidate: ModuleFactory) -> int:
        # Only the shapes are asked for, and building on "meta" allocates none of them.
        with torch.device("meta"):
            network = network_factory(config, classes=classes, slot=candidate)()
        return parameters(network)

    baseline = params(ModuleFactory(Separable, {"intermediate_activation": "none"}))
    ratio = match_inner_ratio(lambda value: params(slot.with_keywords(inner_ratio=value)), baseline)
    return replace(config, model=replace(config.model, module={**module, "inner_ratio": ratio}))


def _target(node: dict[str, Any], key: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return what `_target_` names and the other keywords of a group."""
    return locate(node.get("_target_"), key), {name: value for name, value in node.items() if name != "_target_"}
