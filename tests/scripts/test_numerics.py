"""What bfloat16 changes."""

import torch
from scripts.benchmarks import numerics

from hybridsep.bench import rows, variants
from hybridsep.bench.workloads import RowWorkloads


def test_what_bfloat16_changes_is_small_and_leaves_the_network_alone():
    config = rows.compose(["model=separable", "size=tiny", "data=synthetic", "schedule.batch_size=16"])
    workloads = RowWorkloads(config, rows.dataset(train=64, test=10), torch.device("cpu"))
    loop = workloads.trial(variants.ours(bfloat16=True, fast=False))
    network, before = loop.training.network, {}
    for name, value in network.state_dict().items():
        before[name] = value.clone()
    found = numerics.compare(network, workloads.data, 16)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert 1e-4 < found.logits < 0.1 and found.loss < 0.05
    assert 0.9 < found.gradient_norm < 1.1 and found.other_batch < found.gradient_cosine < 1
    same = [numerics.outcome(network, workloads.data, 16, first=0, number_format="float32") for _ in range(2)]
    assert torch.equal(same[0][2], same[1][2])
