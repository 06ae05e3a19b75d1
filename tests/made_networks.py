"""Modules and networks that several test files look at, as YAML states them, and values to fill them with."""

from pathlib import Path

import torch
import yaml
from hydra import compose, initialize_config_dir
from torch import nn

from hybridsep import config, modules
from hybridsep.modules.dense import Dense
from hybridsep.networks.factory import ModuleFactory
from hybridsep.train import build

CONF = Path(__file__).parents[1] / "conf" / "model"


ROWS = ("separable", "inception", "resnext", "reformulated_inception", "separable_equivalent", "hybrid")


def slot(row: str, **changes) -> ModuleFactory:
    """The row's slot as its YAML file states it, with some keywords changed."""
    stated = dict(yaml.safe_load((CONF / f"{row}.yaml").read_text(encoding="utf-8"))["module"])
    cls = getattr(modules, stated.pop("_target_").rpartition(".")[2])
    return ModuleFactory(cls, {**stated, **changes})


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Fill parameters and running statistics, in float64 and eval mode, so that no value is a neutral one."""
    generator = torch.Generator().manual_seed(seed)
    module.double().eval()
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=torch.float64) - 0.3)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var.add_(0.5)
    return module


def images(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


DENSE = ModuleFactory(Dense, {})


SEPARABLE = slot("separable")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def seeded(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give every stochastic module the same fresh generator, as the training engine does."""
    shared = generator(seed)
    for module in network.modules():
        if hasattr(module, "generator"):
            module.generator = shared
    return network


def network_of_row(row: str) -> tuple[dict, nn.Module]:
    """Compose `model=row` as a user does: the keywords of its network, and the network on no device."""
    config.register()
    with initialize_config_dir(str(config.config_dir()), **config.hydra_defaults()):
        resolved = config.resolve(compose("config", [f"model={row}"]))
    assert resolved.model.name == row
    with torch.device("meta"):
        return resolved.model.network, build.network_factory(resolved, classes=10)()
