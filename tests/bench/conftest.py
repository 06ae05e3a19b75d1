"""What several tests of the bench measure."""

import pytest
import torch

from hybridsep.bench import rows
from hybridsep.bench.workloads import RowWorkloads

CPU = torch.device("cpu")
TINY = ("size=tiny", "data=synthetic", "schedule.batch_size=16")


@pytest.fixture(scope="module")
def workloads():
    """Make variants train in earnest: `separable` at size=tiny on 64 images, four steps an epoch."""
    torch.set_num_threads(1)
    dataset = rows.dataset(train=64, test=10)
    return RowWorkloads(rows.compose(["model=separable", *TINY]), dataset, CPU, learning_rate=0.1)
