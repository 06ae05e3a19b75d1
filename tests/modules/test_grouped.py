"""Merged groups: the grouped convolution itself, its parameters and its gradients, and where they are put."""

import copy

import pytest
import torch
from torch import nn

from hybridsep.bench import rows
from hybridsep.modules.fast import has_fast, use_fast
from hybridsep.modules.grouped import GroupedConv2d
from hybridsep.modules.layers import conv
from hybridsep.train.assembly import initial_network
from hybridsep.train.build import network_factory

CPU = torch.device("cpu")


def convolution(in_chs: int, out_chs: int, groups: int) -> nn.Conv2d:
    generator = torch.Generator().manual_seed(in_chs + groups)
    made = conv(in_chs, out_chs, 3, groups=groups).double()
    with torch.no_grad():
        made.weight.normal_(generator=generator)
    return made


@pytest.mark.parametrize(
    ("in_chs", "out_chs", "groups", "merged"),
    [
        (64, 64, 32, 8),  # ResNeXt's first stage at size=paper
        (128, 128, 32, 4),
        (32, 64, 16, 8),  # twice as many outputs
        (18, 18, 6, 3),  # 3 channels a group: 5 would fit, 3 divide 6
        (9, 9, 3, 3),
        (14, 14, 7, 7),
    ],
)
def test_merged_groups_are_the_grouped_convolution(in_chs, out_chs, groups, merged):
    plain = convolution(in_chs, out_chs, groups)
    other = copy.deepcopy(plain)
    assert has_fast(other, CPU) and use_fast(other).fast and other.merged == merged
    assert other.block_diagonal().shape == (out_chs, merged * in_chs // groups, 3, 3)
    assert list(other.state_dict()) == ["weight"] and torch.equal(other.weight, plain.weight)
    x = torch.randn(3, in_chs, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = []
    for module in (plain, other):
        given = x.clone().requires_grad_()
        y = module(given)
        (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
        found.append((y, given.grad, module.weight.grad))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


def test_only_what_is_slow_is_merged():
    kept = nn.ModuleList(
        [
            convolution(8, 8, 8),  # depthwise
            convolution(32, 32, 4),  # 8 channels a group
            convolution(32, 32, 1),
            convolution(4, 4, 1),
            nn.Conv2d(64, 64, 3, padding=1, groups=32),  # a user's own
        ]
    )
    assert not has_fast(kept, CPU)
    assert all(each.merged == 1 for each in kept if isinstance(each, GroupedConv2d))


def test_a_network_on_a_cpu_gets_them_and_stays_itself():
    words = ("model=resnext", "size=small", "data=synthetic")
    config = rows.compose(words)
    build = network_factory(config, classes=10)
    plain, other = (initial_network(config, build, device=CPU, trial=0, fast=fast)[0] for fast in (False, None))
    groups = [name for name, module in other.named_modules() if isinstance(module, GroupedConv2d) and module.gains(CPU)]
    assert groups == ["stages.2.0.module.grouped.conv", "stages.2.1.module.grouped.conv"]
    assert list(other.state_dict()) == list(plain.state_dict())
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(other.eval()(images), plain.eval()(images), rtol=1e-4, atol=1e-5)
