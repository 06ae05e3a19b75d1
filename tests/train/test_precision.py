"""What a process is set to before it trains, shown with a CUDA device that is only named."""

import json
import subprocess
import sys

STUBBED = """
import json, sys, torch
torch.cuda.set_device = lambda device: None
torch.cuda.get_device_name = lambda device: "a GPU"
from hybridsep.runs import provenance
from hybridsep.train import precision
before = set(sys.modules)
precision.prepare(torch.device("cuda", 0), 1)
print(json.dumps({
    "tf32": [torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32],
    "recorded": provenance.machine("cuda:0", 1).tf32,
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
