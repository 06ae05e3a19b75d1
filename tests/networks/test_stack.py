"""The stack: costs, structure, dropout's generator, and the search behind `match=params`."""

import pytest
import torch
from made_networks import ROWS, images, slot
from refusals import refused
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hybridsep.config.targets import check_keywords
from hybridsep.modules.fast import use_fast
from hybridsep.networks.cost import cost_of, parameters
from hybridsep.networks.match import match_inner_ratio
from hybridsep.networks.stack import Stack
from hybridsep.networks.stochastic import Dropout

SIZE = {"in_chs": 3, "classes": 10, "act_layer": "relu", "dropout": 0.0, "residual": False, "stem_stride": 1}


def build(row: str, widths=(16, 32), depth: int = 1, **changes) -> Stack:
    return Stack(slot(row), widths=widths, depth=depth, **{**SIZE, **changes})


def test_separable_cost_by_hand():
    """A stem of 3 to 4 channels, one layer 4 to 4 at 8x8, one 4 to 8 at 4x4, a head of 8 to 10."""
    params = (27 * 4 + 8) + (36 + 16 + 8) + (36 + 32 + 16) + (80 + 10)
    macs = 64 * 27 * 4 + 64 * (36 + 16) + 16 * (36 + 32) + 80
    assert cost_of(build("separable", widths=(4, 8)), 8, 8) == (params, macs)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("widths, depth", [((16, 32, 64), 1), ((32, 48), 2)])
def test_cost_is_torchs_count(row, widths, depth):
    network = build(row, widths, depth).eval().to("meta")  # as in test_modules.test_shape_and_cost
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert network(images(1, 3, 12, 10).float().to("meta")).shape == (1, 10)
    params = sum(parameter.numel() for parameter in network.parameters())
    for built in (build(row, widths, depth), use_fast(build(row, widths, depth))):
        assert cost_of(built, 12, 10) == (params, counter.get_total_flops() / 2)


def test_rows_differ_in_the_slot_only():
    """Outside the slot every row has the same parameters: names and shapes."""
    outside = [
        {name: tensor.shape for name, tensor in build(row, depth=2).state_dict().items() if ".module." not in name}
        for row in ROWS
    ]
    assert all(each == outside[0] for each in outside)
    assert "stages.1.0.module.depthwise.weight" in build("separable").state_dict()


def test_residual_adds_the_input_where_widths_are_equal():
    network = build("separable", depth=2, residual=True).eval()
    assert [layer.residual for stage in network.stages for layer in stage] == [True, True, False, True]
    layer, x = network.stages[0][0], images(1, 16, 5, 5).float()
    torch.testing.assert_close(layer(x), torch.relu(layer.norm(layer.module(x)) + x))


def test_pooling_stands_between_the_stages_only():
    network, seen = build("separable", widths=(4, 8, 16), depth=1).eval(), []
    for stage in network.stages:
        stage.register_forward_hook(lambda stage, inputs, output: seen.append(tuple(output.shape[2:])))
    network(torch.zeros(1, 3, 16, 12))
    assert seen == [(16, 12), (8, 6), (4, 3)]


def test_dropout_draws_from_its_own_generator():
    dropout, x = Dropout(0.25), torch.ones(200, 200)
    with pytest.raises(RuntimeError, match="generator"):
        dropout(x)
    state = torch.random.get_rng_state()
    dropout.generator = torch.Generator().manual_seed(0)
    first, second = dropout(x), dropout(x)
    dropout.generator.manual_seed(0)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(first, second)
    assert set(first.unique().tolist()) == {0.0, float(torch.tensor(1.0) / 0.75)}
    # 40,000 draws: the standard error of the share kept is 0.0022
    assert (first > 0).float().mean().item() == pytest.approx(0.75, abs=0.01)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert dropout.eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_dropout_stands_after_each_pooling_and_before_the_head():
    network, seen = build("separable", widths=(4, 8, 16), depth=1, dropout=0.5), []
    network.dropout.generator = torch.Generator().manual_seed(0)
    network.dropout.register_forward_hook(lambda layer, inputs, output: seen.append(tuple(output.shape[1:])))
    network(torch.zeros(2, 3, 16, 16))
    assert seen == [(4, 8, 8), (8, 4, 4), (16, 4, 4)]


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"widths": ()}, "widths"),
        ({"widths": (16, 0)}, "widths"),
        ({"depth": 0}, "depth"),
        ({"dropout": 1.0}, "dropout"),
        ({"act_layer": "swish"}, "act_layer"),
    ],
)
def test_bad_sizes_are_one_line(changes, named):
    sizes = {"widths": (8, 16), "depth": 1, "stem_stride": 1, "act_layer": "relu", "dropout": 0.0, "residual": False}
    with refused(key=f"model.network.{named}="):
        check_keywords(Stack, sizes | changes, "model.network", positional=1, supplied=("in_chs", "classes"))


def test_too_many_stages_for_the_image():
    with refused("4x4", key="size.widths"):
        cost_of(build("separable", widths=(4, 4, 4, 4)), 4, 4)


@pytest.mark.parametrize("row", [row for row in ROWS if "inner_ratio" in slot(row).keywords])
@pytest.mark.parametrize("widths, depth", [((128, 256, 512), 3), ((32, 64, 128), 2)])
def test_every_row_can_have_the_baselines_parameters(row, widths, depth):
    def params(module):
        with torch.device("meta"):
            return parameters(Stack(module, widths=widths, depth=depth, **SIZE))

    target = params(slot("separable"))
    ratio = match_inner_ratio(lambda ratio: params(slot(row).with_keywords(inner_ratio=ratio)), target)
    matched = slot(row).with_keywords(inner_ratio=ratio)
    assert abs(params(matched) - target) <= 0.02 * target
    network = Stack(matched, widths=widths, depth=depth, **SIZE)
    assert isinstance(network, nn.Module)
    assert sum(parameter.numel() for parameter in network.parameters()) == params(matched)


def test_match_on_counts_a_person_can_check():
    assert match_inner_ratio(lambda ratio: round(1000 * ratio), 1015) == 1.0
    assert match_inner_ratio(lambda ratio: round(1000 * ratio), 500) == 0.5
    with refused("400 and 600", key="match"):
        match_inner_ratio(lambda ratio: 200 * round(5 * ratio), 500)
    with refused("700", key="match"):
        match_inner_ratio(lambda ratio: 700, 500)
