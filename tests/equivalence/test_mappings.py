"""Weights of one form as weights of another, by hand."""

import pytest
import torch
import torch.nn.functional as F
from made_networks import images, randomise, slot

from hybridsep.equivalence.mappings import (
    grouped_to_dense,
    resnext_to_towers,
    separable_to_dense,
    simplified_inception_to_reformulated,
)


def test_composed_kernel_by_hand():
    depthwise = torch.tensor([[[[1.0, 2.0]]], [[[3.0, 4.0]]]])
    pointwise = torch.tensor([[10.0, 100.0]])[..., None, None]
    assert separable_to_dense(depthwise, pointwise).tolist() == [[[[10.0, 20.0]], [[300.0, 400.0]]]]


def test_block_diagonal_by_hand():
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[..., None, None]
    assert grouped_to_dense(weight, 2).flatten(1).tolist() == [[1, 2, 0, 0], [0, 0, 3, 4]]
    with pytest.raises(ValueError, match="groups: 3"):
        grouped_to_dense(weight, 3)


def test_unequal_towers_have_no_grouped_form():
    towers = [(torch.zeros(width, 3, 1, 1), torch.zeros(width, width, 3, 3)) for width in (2, 3)]
    with pytest.raises(ValueError, match="2 different shapes"):
        simplified_inception_to_reformulated(towers)


def test_resnext_towers_keep_running_statistics():
    """In evaluation too: the towers' BatchNorm has the module's own running statistics, cut along with the weights."""
    module, x = randomise(slot("resnext", cardinality=4)(16, 16)), images(2, 16, 5, 5)
    towers = resnext_to_towers(module.state_dict(), 4)

    def norm(y, prefix):
        leaves = (towers[f"{prefix}.norm.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(y, *leaves)

    total = 0
    for prefix in (f"towers.{index}" for index in range(4)):
        y = F.relu(norm(F.conv2d(x, towers[f"{prefix}.reduce.conv.weight"]), f"{prefix}.reduce"))
        y = F.relu(norm(F.conv2d(y, towers[f"{prefix}.spatial.conv.weight"], padding=1), f"{prefix}.spatial"))
        total = total + F.conv2d(y, towers[f"{prefix}.expand.conv.weight"])
    torch.testing.assert_close(module(x), norm(total, "expand") + x)
    with pytest.raises(ValueError, match="cardinality: 3"):
        resnext_to_towers(module.state_dict(), 3)
