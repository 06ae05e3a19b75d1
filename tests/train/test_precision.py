"""What a process is set to before it trains, shown with a CUDA device that is only named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hybridsep.train import precision

STUBBED = """
import json, sys, torch
torch.cuda.set_device = lambda device: None
torch.cuda.get_device_name = lambda device: "a GPU"
from hybridsep.train import precision
before = set(sys.modules)
precision.prepare(torch.device("cuda", 0), 1)
print(json.dumps({
    "tf32": [torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32],
    "recorded": precision.describe_machine("cuda:0", 1).tf32,
    "deterministic": torch.get_deterministic_debug_mode(),
    "filled": torch.utils.deterministic.fill_uninitialized_memory,
    "benchmark": torch.backends.cudnn.benchmark,
    "compiler": [name for name in sys.modules if name.startswith(("torch._inductor", "torch._dynamo"))],
}))
"""


def test_on_a_gpu_float32_is_float32_kernels_are_deterministic_and_no_compiler_is_imported():
    done = subprocess.run([sys.executable, "-c", STUBBED], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {
        "tf32": [False, False],
        "recorded": False,
        "deterministic": 2,
        "filled": False,
        "benchmark": False,
        "compiler": [],
    }


@pytest.fixture
def capabilities(monkeypatch):
    """Return a function that sets what torch says of this CPU."""
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    return lambda found: monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)


@pytest.mark.parametrize("key", ["avx512_bf16", "amx_tile", "bf16"])
def test_bfloat16_by_what_torch_says(capabilities, key):
    capabilities({"architecture": "x", "avx2": True, key: False})
    assert not precision.multiplies_bfloat16()
    capabilities({"architecture": "x", "avx2": True, key: True})
    assert precision.multiplies_bfloat16()


def test_bfloat16_where_onednn_is_missing_or_held_back(capabilities, monkeypatch):
    capabilities({"avx512_bf16": True})
    for limit, native in (("avx2", False), ("AVX512_CORE", False), ("AVX512_CORE_BF16", True), ("ALL", True)):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
        assert precision.multiplies_bfloat16() == native, limit
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not precision.multiplies_bfloat16()


def test_torch_and_linux_agree_here():
    if not Path("/proc/cpuinfo").exists():
        pytest.skip("not Linux")
    sets = set(Path("/proc/cpuinfo").read_text().split())
    torchs = {name for name, there in torch.cpu.get_capabilities().items() if there is True}
    assert torchs & {*precision._BFLOAT16, "avx2"} == sets & {*precision._BFLOAT16, "avx2"}
