"""Parameters and MACs: golden numbers of every model and size, torch's own counter, and what modules do wrong."""

import functools
import json
import subprocess
import sys

import hydra
import pytest
import torch
import torch.nn.functional as F
from hydra.core.global_hydra import GlobalHydra
from made_networks import network_of_row
from omegaconf import OmegaConf
from refusals import refused
from test_golden import GOLDEN, compositions
from torch import nn

from hybridsep import config
from hybridsep.config.schema import ModelConfig
from hybridsep.config.targets import check_keywords
from hybridsep.networks import ModuleFactory, Stack, cost_of
from hybridsep.train import build


def test_every_model_and_size_costs_what_it_did(monkeypatch):
    """`costs.json` was written by the sums of each module and network, before there was one function.

    What came later is not in it. Only names, shapes and numbers of the `model` and `size` files count, so each file is
    composed once, and each network that they describe is built and counted once.
    """
    # Nothing is computed on "meta", where BatchNorm, which no count includes, is 8 ms of Python each time. Other tests
    # count the same networks as they are, where they run.
    monkeypatch.setattr(nn.BatchNorm2d, "forward", lambda self, x: x)

    @functools.cache
    def composed(name: str) -> dict:
        return OmegaConf.to_container(hydra.compose(name))

    @functools.cache
    def costs(model: str, sides: tuple[int, ...]) -> dict[str, list[int]]:
        with torch.device("meta"):
            network = build.factory_of(ModelConfig(**json.loads(model)), classes=10)()
        return {str(side): list(cost_of(network, side, side)) for side in sides}

    GlobalHydra.instance().clear()
    found = {}
    with hydra.initialize_config_dir(str(config.config_dir()), **config.hydra_defaults()):
        for words in compositions():
            if not words[0].startswith("model="):
                continue
            model, size = (composed(word.replace("=", "/")) for word in words[:2])
            model = OmegaConf.to_container(OmegaConf.create(model | size), resolve=True)["model"]
            described = json.dumps({"name": "", "title": "", "network": model["network"], "module": model["module"]})
            sides = (32,) if "fractalnet" in words[0] else (32, 28, 24)
            found[" ".join(words[:2])] = costs(described, sides)
    golden = json.loads((GOLDEN / "costs.json").read_text())
    assert {words: found.get(words) for words in golden} == golden


class Attending(nn.Module):
    """Products of every kind: einsum, attention of activations, a frozen weight."""

    def __init__(self, in_chs: int, out_chs: int, *, heads: int):
        super().__init__()
        self.mix = nn.Conv2d(in_chs, out_chs, 1)
        self.attention = nn.MultiheadAttention(out_chs, heads, batch_first=True)
        self.weight = nn.Parameter(torch.rand(out_chs, out_chs))

    def forward(self, x):
        y = torch.einsum("nchw,dc->ndhw", self.mix(x), self.weight)
        rows = y.flatten(2).transpose(1, 2)
        return self.attention(rows, rows, rows, need_weights=False)[0].transpose(1, 2).reshape(y.shape)


def stack(cls: type[nn.Module], **keywords) -> Stack:
    factory = ModuleFactory(cls, keywords)
    shape = {"in_chs": 3, "classes": 10, "widths": (8, 16), "depth": 1, "stem_stride": 1}
    return Stack(factory, **shape, act_layer="relu", dropout=0.0, residual=False)


def test_a_module_of_other_products_is_counted_by_torch():
    network = stack(Attending, heads=2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    cost = cost_of(network, 8, 6)
    assert all(module.training for module in network.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert cost.params == sum(each.numel() for each in network.parameters())
    macs = 160  # the head
    for before, chs, pixels in ((8, 8, 48), (8, 16, 12)):
        # The 1x1, einsum and the four projections of attention, then its two products of activations.
        macs += pixels * (before * chs + 5 * chs**2) + 2 * pixels**2 * chs
    assert cost.macs == 48 * 27 * 8 + macs


class Frozen(nn.Module):
    def __init__(self, in_chs: int, out_chs: int):
        super().__init__()
        self.conv = nn.Conv2d(in_chs, out_chs, 1, bias=False).requires_grad_(False)

    def forward(self, x):
        return self.conv(x)


def test_frozen_weights_are_no_parameters():
    assert cost_of(stack(Frozen), 8, 8).params == (27 * 8 + 16) + 16 + 32 + 170


def test_counting_does_not_import_the_compiler():
    """It would take the start of every run seconds."""
    program = (
        "import sys, torch\n"
        "from hybridsep.modules import Inception\n"
        "from hybridsep.networks import cost_of\n"
        "assert cost_of(Inception(3, 8, inner_ratio=1.0), 8, 8).macs\n"
        "assert not {'sympy', 'torch._dynamo', 'torch.utils.flop_counter'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Grouped(nn.Module):
    def __init__(self, in_chs: int, out_chs: int, *, groups: int):
        super().__init__()
        self.conv = nn.Conv2d(in_chs, out_chs, 3, padding=1, groups=groups)

    def forward(self, x):
        return self.conv(x)


class Strided(Grouped):
    def forward(self, x):
        return F.max_pool2d(self.conv(x), 2)


class Narrow(Grouped):
    def forward(self, x):
        return self.conv(x)[:, :-1]


class Pair(Grouped):
    def forward(self, x):
        return self.conv(x), x


class Broken(Grouped):
    def forward(self, x):
        return self.conv(x[:, :3])


class WithoutWidths(nn.Module):
    def __init__(self, *, groups: int):
        super().__init__()


@pytest.mark.parametrize(
    ("cls", "groups", "named"),
    [
        (Grouped, 5, ("Grouped(8, 8, groups=5)", "ValueError: in_channels must be divisible by groups")),
        (Strided, 1, ("Strided", "(1, 8, 4, 3) of (1, 8, 8, 6)")),
        (Narrow, 1, ("Narrow", "(1, 7, 8, 6) of (1, 8, 8, 6)")),
        (Pair, 1, ("Pair", "tuple of (1, 8, 8, 6)")),
        (Broken, 1, ("Broken", "(1, 8, 8, 6)", "RuntimeError: ")),
        (WithoutWidths, 1, ("WithoutWidths(*, groups: int)",)),
        (dict, 1, ("dict",)),
    ],
)
def test_a_module_that_fails_says_so_in_one_line(cls, groups, named):
    contract = "maps (N, in_chs, H, W) to (N, out_chs, H, W) at stride 1"
    with refused(*named, contract, key="model.module: "):
        cost_of(stack(cls, groups=groups), 8, 6)


class Listing(nn.Module):
    def __init__(self, in_chs: int, out_chs: int, *, kernels: list[int], mode: str | None):
        super().__init__()


def test_keywords_may_be_lists():
    ModuleFactory(Listing, {"kernels": [1, 3], "mode": None})
    with refused(key="model.module.kernels=3"):
        ModuleFactory(Listing, {"kernels": 3, "mode": "a"})


@pytest.mark.parametrize("row", ["separable", "fractalnet", "darknet"])
def test_networks_have_the_papers_defaults(row):
    keywords, network = network_of_row(row)
    supplied = {"positional": 1, "supplied": ("in_chs", "classes")}
    defaults = check_keywords(type(network), {}, "model.network", **supplied)
    assert {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()} == {
        key: value for key, value in keywords.items() if key != "_target_"
    }
