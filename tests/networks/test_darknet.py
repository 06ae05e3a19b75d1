"""DarkNet: costs, structure against darknet's two configuration files, and its options."""

import pytest
import torch
import torch.nn.functional as F
from made_networks import images, network_of_row, randomise, slot
from refusals import refused
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hybridsep.config.targets import check_keywords
from hybridsep.modules.dense import Dense
from hybridsep.networks import ModuleFactory, cost_of
from hybridsep.networks.darknet import DarkNet

# The CIFAR-10 network of the YAML files.
PAPER = {
    "in_chs": 3,
    "classes": 10,
    "variant": "cifar",
    "width_ratio": 1.0,
    "act_layer": "leaky_relu",
    "head_act_layer": "leaky_relu",
    "dropout": 0.5,
}
DENSE = ModuleFactory(Dense, {})
SEPARABLE = slot("separable")
SLIM = {"cifar": 1 / 32, "reference": 1 / 8}


def build(module=DENSE, variant="cifar", **changes) -> DarkNet:
    return DarkNet(module, **PAPER | {"variant": variant, "width_ratio": SLIM[variant]} | changes)


def test_dense_cifar_parameters_by_hand():
    widths = [3, 128, 128, 128, 256, 256, 256, 512, 512, 512]
    convolutions = sum(9 * before * after + 2 * after for before, after in zip(widths, widths[1:], strict=False))
    with torch.device("meta"):
        network = DarkNet(DENSE, **PAPER)
    assert convolutions + 512 * 10 + 10 == cost_of(network, 32, 32).params


@pytest.mark.parametrize("module", [DENSE, SEPARABLE, slot("hybrid")])
@pytest.mark.parametrize("variant", ["cifar", "reference"])
@pytest.mark.parametrize("size", [(28, 28), (32, 32), (9, 6)])
def test_cost_is_torchs_count(module, variant, size):
    network = build(module, variant).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert network(images(1, 3, *size).float()).shape == (1, 10)
    params = sum(parameter.numel() for parameter in network.parameters())
    assert cost_of(network, *size) == (params, counter.get_total_flops() / 2)


def test_reference_is_darknets_with_five_poolings():
    network, seen = build(variant="reference", width_ratio=0.25).eval(), []
    for stage in network.stages:
        stage.register_forward_hook(lambda stage, inputs, output: seen.append(tuple(output.shape[1:])))
    network(torch.zeros(1, 3, 32, 32))
    assert seen == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4), (64, 2, 2), (256, 1, 1)]
    assert [len(stage) for stage in network.stages] == [1, 1, 1, 1, 1, 2]


def test_every_3x3_but_the_stem_is_the_module():
    network = build(SEPARABLE)
    dense = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and module.groups == 1
    ]
    assert dense == ["stages.0.0.conv"]
    assert sum(type(module) is SEPARABLE.cls for module in network.modules()) == 8


@pytest.mark.parametrize("head_act_layer", ["leaky_relu", "none"])
def test_forward_by_hand(head_act_layer):
    network, x = randomise(build(head_act_layer=head_act_layer)), images(2, 3, 14, 14)
    y = x
    for index, stage in enumerate(network.stages):
        y = F.max_pool2d(y, 2, ceil_mode=True) if index else y
        for layer in stage:
            convolved = F.conv2d(
                y, layer.conv.weight if hasattr(layer, "conv") else layer.module.conv.weight, padding=1
            )
            y = F.leaky_relu(layer.norm(convolved), 0.1)
    y = F.conv2d(y, network.head.weight, network.head.bias)
    y = F.leaky_relu(y, 0.1) if head_act_layer == "leaky_relu" else y
    torch.testing.assert_close(network(x), y.mean(dim=(2, 3)))


def test_dropout_stands_where_the_file_has_it():
    """cifar.cfg: after each of the two poolings and before the last convolution; darknet.cfg has none."""
    network, seen = build(), []
    with pytest.raises(RuntimeError, match="generator"):
        network(torch.ones(2, 3, 16, 16))
    network.dropout.generator = torch.Generator().manual_seed(0)
    network.dropout.register_forward_hook(lambda layer, inputs, output: seen.append(tuple(output.shape[1:])))
    network(torch.ones(2, 3, 16, 16))
    assert seen == [(4, 8, 8), (8, 4, 4), (16, 4, 4)]
    assert network.dropout.p == 0.5
    assert build(variant="reference").dropout.p == 0


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"variant": "tiny", "width_ratio": 1.0}, "variant"),
        ({"width_ratio": 0.0}, "width_ratio"),
        ({"width_ratio": float("nan")}, "width_ratio"),
        ({"dropout": 1.0}, "dropout"),
        ({"act_layer": "swish"}, "act_layer"),
        ({"head_act_layer": "swish"}, "head_act_layer"),
    ],
)
def test_bad_keywords_are_one_line(changes, named):
    with refused(key=f"model.network.{named}="):
        check_keywords(DarkNet, PAPER | changes, "model.network", positional=1)


@pytest.mark.parametrize("row", ["darknet", "darknet_separable"])
def test_yaml_is_the_cifar_network(row):
    stated, _ = network_of_row(row)
    assert stated | {"in_chs": 3, "classes": 10} == PAPER | {"_target_": "hybridsep.networks.darknet.DarkNet"}
