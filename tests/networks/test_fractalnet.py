"""FractalNet: structure and counts against the paper's rule and against pytorchcv, drop-path's draws, evaluation."""

import math

import pytest
import torch
import torch.nn.functional as F
from made_networks import DENSE, SEPARABLE, generator, images, network_of_row, randomise, seeded, slot
from refusals import refused
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from hybridsep.config.targets import check_keywords
from hybridsep.networks import cost_of
from hybridsep.networks.fractalnet import DropPath, FractalNet, block_joins

# The CIFAR-10 network of the YAML files.
PAPER = {
    "in_chs": 3,
    "classes": 10,
    "widths": [64, 128, 256, 512, 512],
    "columns": 3,
    "dropout": [0.0, 0.1, 0.2, 0.3, 0.4],
    "drop_path": 0.15,
    "global_share": 0.5,
    "evaluation_column": "all",
}
SMALL = PAPER | {"widths": [4, 6], "dropout": [0.0, 0.3]}


def draws(count: int, **changes) -> torch.Tensor:
    """Weights of `count` batches, (count, joins, columns), for two blocks of three columns."""
    keywords = {"blocks": 2, "columns": 3, "rate": 0.15, "global_share": 0.5} | changes
    drop_path = DropPath(**keywords)
    drop_path.generator = generator()
    return torch.stack([drop_path(torch.float64) for _ in range(count)])


def test_depth_and_joins_of_the_cifar_network():
    """Larsson et al.: 20 layers; the docstring derives 35 convolutions and 10 joins of two and three paths by turns."""
    with torch.device("meta"):
        network = FractalNet(DENSE, **PAPER)
    assert sum(len(block.columns[-1]) for block in network.blocks) == 20
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 35
    assert network.drop_path.present.shape == (10, 3)
    assert [len(merged) for merged in block_joins(3)] == [2, 3]
    assert [len(merged) for merged in block_joins(4)] == [2, 3, 2, 4]
    assert block_joins(1) == []


def test_same_parameters_as_pytorchcv():
    """The count is pytorchcv's to the last parameter; so the difference that could have needed a reason is zero."""
    from pytorchcv.models.fractalnet_cifar import fractalnet_cifar10

    with torch.device("meta"):
        theirs, ours = fractalnet_cifar10(), FractalNet(DENSE, **PAPER)
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (ours, theirs)]
    assert counts[0] == counts[1]


def test_same_function_as_pytorchcv():
    """With mapped weights and the same (small) widths, evaluation gives pytorchcv's logits."""
    from pytorchcv.models.fractalnet_cifar import CIFARFractalNet

    ours = randomise(FractalNet(DENSE, **SMALL))
    theirs = CIFARFractalNet(
        channels=SMALL["widths"], num_columns=3, dropout_probs=SMALL["dropout"], loc_drop_prob=0.15, glob_drop_ratio=0.5
    )
    mapped = {"output.weight": ours.head.weight, "output.bias": ours.head.bias}
    for b, block in enumerate(ours.blocks):
        for c, column in enumerate(block.columns):
            for i, layer in enumerate(column):
                # They number rows of the block, and columns from the deepest.
                name = f"features.unit{b + 1}.block.blocks.block{(i + 1) * 4 // len(column)}.subblock{3 - c}"
                mapped[f"{name}.conv.weight"] = layer.module.conv.weight
                mapped |= {f"{name}.bn.{leaf}": tensor for leaf, tensor in layer.norm.state_dict().items()}
    theirs.double().eval().load_state_dict(mapped)
    # They have no pooling behind the blocks but 2x2, so two blocks need 4x4 images.
    x = images(3, 3, 4, 4)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_block_follows_the_expansion_rule(columns):
    """The rule as recursion; f_C(z) is the list of paths still to be joined: conv(z), and f_{C-1}(join(f_{C-1}(z)))."""
    block = randomise(FractalNet(DENSE, **SMALL | {"columns": columns}).blocks[0])
    layers = [iter(column) for column in block.columns]

    def paths(z, depth):
        own = next(layers[columns - depth])(z)
        if depth == 1:
            return [own]
        halfway = paths(z, depth - 1)
        return [own, *paths(sum(halfway) / len(halfway), depth - 1)]

    x = images(2, 3, 5, 5)
    last = paths(x, columns)
    assert len(last) == columns
    torch.testing.assert_close(block(x, None), sum(last) / columns)


@pytest.mark.parametrize("module", [DENSE, SEPARABLE, slot("hybrid")])
@pytest.mark.parametrize("evaluation_column", ["all", "deepest"])
@pytest.mark.parametrize("columns, size", [(1, (8, 8)), (3, (9, 6))])
def test_cost_is_torchs_count(module, evaluation_column, columns, size):
    network = FractalNet(module, **SMALL | {"evaluation_column": evaluation_column, "columns": columns}).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert network(images(1, 3, *size).float()).shape == (1, 10)
    params = sum(parameter.numel() for parameter in network.parameters())
    assert cost_of(network, *size) == (params, counter.get_total_flops() / 2)


def test_separable_replaces_every_convolution():
    network = FractalNet(SEPARABLE, **SMALL)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 2 * 14
    assert all(conv.kernel_size == (1, 1) or conv.groups == conv.in_channels for conv in convolutions)


def test_deepest_column_answers_alone():
    network = randomise(FractalNet(DENSE, **SMALL | {"evaluation_column": "deepest"}))
    x = y = images(2, 3, 8, 8)
    for block in network.blocks:
        for layer in block.columns[2]:
            y = torch.relu(layer.norm(layer.module(y)))
        y = F.max_pool2d(y, 2)
    torch.testing.assert_close(network(x), network.head(y.mean(dim=(2, 3))))
    # The option is about evaluation: training uses all columns.
    seeded(network.train())(x).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_weights_pass_on_at_least_one_path_and_add_up_to_one():
    weights = draws(400, rate=0.9)
    present = torch.tensor([[False, True, True], [True, True, True]] * 2)
    assert not weights[:, ~present].any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(400, 4, dtype=torch.float64))
    passed = weights > 0
    assert torch.equal(weights, passed / passed.sum(-1, keepdim=True))


def test_local_drop_path_drops_each_path_at_its_rate():
    """A path of n stays with 1 - r, or comes back with r^n / n where all are dropped; standard error .0056 at 4,000."""
    stays = (draws(4000, global_share=0.0, rate=0.15) > 0).double().mean(0)
    for join, column in [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (3, 0)]:
        paths = 2 if join == 0 else 3
        assert stays[join, column].item() == pytest.approx(0.85 + 0.15**paths / paths, abs=0.025)
    # Blocks and joins draw for themselves.
    weights = draws(100, global_share=0.0, rate=0.5)
    assert not torch.equal(weights[:, 1], weights[:, 3])


def test_global_drop_path_is_one_column_for_the_whole_network():
    weights = draws(600, global_share=1.0)
    columns = weights[:, 1].argmax(-1)
    for column in range(3):
        mine = weights[columns == column]
        # 600 draws: the standard error of a third is .019
        assert len(mine) / 600 == pytest.approx(1 / 3, abs=0.08)
        inner = torch.eye(3)[column] if column > 0 else torch.tensor([0.0, 0.5, 0.5])
        assert torch.equal(mine, torch.stack([inner, torch.eye(3)[column]] * 2).double().expand_as(mine))


def test_half_of_the_batches_are_global():
    """With rate 0 a local draw is the plain mean, so the two kinds can be told apart; standard error .016."""
    final = draws(1000, rate=0.0)[:, 1]
    assert (final.max(-1).values == 1).double().mean().item() == pytest.approx(0.5, abs=0.065)


def test_training_joins_use_the_drawn_weights():
    """A training forward pass with local drop-path, recomputed from a second draw of the same generator."""
    network = seeded(FractalNet(DENSE, **SMALL | {"widths": [4], "dropout": [0.0], "columns": 2, "drop_path": 0.4}))
    block, x = network.blocks[0], images(2, 3, 6, 6).float()
    kinds = set()
    for _ in range(30):
        state = network.drop_path.generator.get_state()
        logits = network(x)
        network.drop_path.generator.set_state(state)
        (weights,) = network.drop_path(torch.float32)
        shallow = block.columns[0][0](x)
        deep = block.columns[1][1](block.columns[1][0](x))
        joined = weights[0] * shallow + weights[1] * deep
        torch.testing.assert_close(logits, network.head(F.max_pool2d(joined, 2).mean(dim=(2, 3))))
        kinds.add(tuple(weights.tolist()))
    assert kinds == {(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)}


def test_a_dropped_path_learns_nothing():
    network = seeded(FractalNet(DENSE, **SMALL | {"global_share": 1.0}))
    network(images(2, 3, 8, 8).float()).square().sum().backward()
    network.drop_path.generator = generator()
    column = int(network.drop_path(torch.float32)[1].argmax())
    for block in network.blocks:
        for c, layers in enumerate(block.columns):
            assert any(layer.module.conv.weight.grad.any() for layer in layers) == (c == column)


def test_randomness_is_the_given_generators():
    network, x = FractalNet(DENSE, **SMALL).train(), images(2, 3, 8, 8).float()
    with pytest.raises(RuntimeError, match="DropPath has no generator"):
        network(x)
    state = torch.random.get_rng_state()
    first, second = seeded(network, 1)(x), network(x)
    assert torch.equal(seeded(network, 1)(x), first)
    assert not torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_training_reads_nothing_back_to_the_host():
    """Fake tensors have no values, so a host-side branch on a drawn one raises; a CUDA graph would refuse it too."""
    network = seeded(FractalNet(DENSE, **SMALL))
    with FakeTensorMode(allow_non_fake_inputs=True):
        loss = network(torch.ones(2, 3, 8, 8)).sum()
        loss.backward()
        with pytest.raises(DataDependentOutputException):
            loss.item()


@pytest.mark.gpu
def test_drop_path_in_a_cuda_graph():
    drop_path = DropPath(blocks=2, columns=3, rate=0.15, global_share=0.5).cuda()
    drop_path.generator = torch.Generator("cuda").manual_seed(0)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(drop_path.generator)
    drop_path(torch.float32)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        weights = drop_path(torch.float32)
    seen = set()
    for _ in range(50):
        graph.replay()
        seen.add(tuple(weights.flatten().tolist()))
        torch.testing.assert_close(weights.sum(1), torch.ones(4, device="cuda"))
    assert len(seen) > 5


def test_autocast_leaves_the_paths_in_bfloat16():
    network, seen = seeded(FractalNet(DENSE, **SMALL)), []
    network.blocks[1].register_forward_hook(lambda block, inputs, output: seen.append(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(images(2, 3, 8, 8).float())
    assert seen == [torch.bfloat16]


def test_dropout_stands_before_batchnorm_at_its_blocks_rate():
    network = FractalNet(DENSE, **SMALL)
    assert [{layer.dropout.p for column in block.columns for layer in column} for block in network.blocks] == [
        {0},
        {0.3},
    ]
    layer = seeded(network).blocks[1].columns[0][0]
    seen = []
    layer.norm.register_forward_pre_hook(lambda norm, inputs: seen.append(inputs[0]))
    layer(images(2, 4, 8, 8).float())
    assert (seen[0] == 0).double().mean().item() == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"widths": [], "dropout": []}, "widths"),
        ({"widths": [4, 0]}, "widths"),
        ({"columns": 0}, "columns"),
        ({"dropout": [0.1]}, "dropout"),
        ({"dropout": [0.0, 1.0]}, "dropout"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"drop_path": math.nan}, "drop_path"),
        ({"global_share": 1.5}, "global_share"),
        ({"evaluation_column": "first"}, "evaluation_column"),
    ],
)
def test_bad_keywords_are_one_line(changes, named):
    with refused(key=f"model.network.{named}"):
        FractalNet(DENSE, **check_keywords(FractalNet, SMALL | changes, "model.network", positional=1))


def test_too_many_blocks_for_the_image():
    with refused(key="model.network.widths"):
        cost_of(FractalNet(DENSE, **SMALL), 3, 8)


@pytest.mark.parametrize("row", ["fractalnet", "fractalnet_separable"])
def test_yaml_is_the_cifar_network(row):
    stated, _ = network_of_row(row)
    assert stated | {"in_chs": 3, "classes": 10} == PAPER | {"_target_": "hybridsep.networks.fractalnet.FractalNet"}
