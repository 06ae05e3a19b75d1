"""Where the time of a step goes."""

import contextlib
import json
from types import SimpleNamespace

import pytest
import torch
from scripts.benchmarks import step_profile
from torch.autograd import DeviceType

from hybridsep.bench import timing


def test_operations_are_sorted_by_what_they_do():
    x, g = [128, 64, 8, 8], [128, 32, 8, 8]
    operations = [
        ("aten::mkldnn_convolution", [x, [64, 1, 3, 3], []], 1.0),
        ("aten::convolution_backward", [x, x, [64, 1, 3, 3], []], 2.0),
        ("aten::mkldnn_convolution", [x, [64, 16, 3, 3], []], 4.0),
        ("aten::cudnn_convolution", [x, [32, 64, 1, 1], []], 8.0),
        ("aten::convolution_backward", [g, x, [32, 64, 3, 3]], 16.0),
        ("aten::native_batch_norm_backward", [x], 32.0),
        ("aten::max_pool2d_with_indices_backward", [x], 64.0),
        ("aten::_fused_sgd_", [], 128.0),
        ("autograd::engine::evaluate_function: ConvolutionBackward0", [], 256.0),
    ]
    found = {}
    for name, shapes, time in operations:
        found[step_profile.kind_of(name, shapes)] = time
    assert found == {
        "depthwise, forward": 1.0,
        "depthwise, backward": 2.0,
        "grouped, forward": 4.0,
        "1x1, forward": 8.0,
        "3x3, backward": 16.0,
        "norm": 32.0,
        "pooling": 64.0,
        "optimiser": 128.0,
        "rest": 256.0,
    }


def test_a_kernel_is_not_counted_beside_the_operation_that_launched_it(monkeypatch):
    """On a GPU the profiler has a row for each: self_device_time_total of both is the kernel's time."""

    def row(name, kind, shapes):
        return SimpleNamespace(key=name, device_type=kind, input_shapes=shapes, self_device_time_total=50.0)

    class Profiler(contextlib.nullcontext):
        def __init__(self, **_):
            super().__init__(self)

        def key_averages(self, group_by_input_shape):
            shapes = [[8, 8, 4, 4], [8, 1, 3, 3], []]
            kernel = row("void cudnn::depthwise_fprop", DeviceType.CUDA, [])
            return [row("aten::cudnn_convolution", DeviceType.CPU, shapes), kernel]

    monkeypatch.setattr("torch.profiler.profile", Profiler)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    call = timing.Repeated(lambda: None, 1.0)
    spent = step_profile.milliseconds(call, torch.device("cuda"), steps=2, untimed=1)
    assert sum(spent.values()) == spent["depthwise, forward"] == 0.05


def test_profile_and_its_files(tmp_path):
    words = "--size tiny --models separable resnext --batch 16 --threads 1 --steps 2 --untimed 1".split()
    step_profile.main([*words, "--results", str(tmp_path)])
    record = json.loads((tmp_path / "bench/profile-tiny-cpu.json").read_text())
    separable, resnext = (row["shares"] for row in record["rows"])
    for shares in (separable, resnext):
        assert set(shares) == set(step_profile.KINDS) and sum(shares.values()) == pytest.approx(1)
        assert all(shares[kind] > 0 for kind in ("1x1, forward", "1x1, backward", "norm", "activation", "optimiser"))
    assert separable["depthwise, backward"] > 0 and separable["grouped, forward"] == 0
    assert "| separable |" in (tmp_path / "bench/profile-tiny-cpu.md").read_text()
