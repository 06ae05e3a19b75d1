"""`compile=true`: the network by torch.compile, for training and evaluation."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import torch
from torch import nn

from hybridsep.errors import ConfigError


def check_compiler(device: torch.device, data_dir: str) -> None:
    """Raise ConfigError, in one line, when torch.compile lacks the compiler that it needs for `device`.

    What is compiled is kept in `data_dir`, unless TORCHINDUCTOR_CACHE_DIR names another folder: torch's own choice is
    the temporary folder, which many share.
    """
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise ConfigError("compile=true needs Triton on a GPU, and it is not installed; compile=false does without")
    # torch asks for the same: the variable, else the system's usual one.
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler.split()[0]) is None:
        raise ConfigError(f"compile=true needs a C++ compiler, and {compiler} is not here: install it or set CXX")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(data_dir).absolute() / "cache" / "torch-compile"))


def check_concurrency(device: torch.device, *, trials_at_once: int | None, cuda_graph: bool) -> None:
    """Raise ConfigError when compiled trials would run at once in threads, which torch's compiler does not allow.

    On a GPU they may: a trial compiles in its first calls, which are made by one trial at a time, and then its CUDA
    graph is replayed.
    """
    if (trials_at_once or 1) > 1 and not (device.type == "cuda" and cuda_graph):
        raise ConfigError(f"compile=true trains one trial at a time here: trials_at_once={trials_at_once} is too many")


def begin_row() -> None:
    """Let torch's compiler forget earlier networks; the trials of one row share what is compiled.

    Else the networks of several rows count together against a limit of versions, beyond which torch stops compiling
    without a word.
    """
    torch.compiler.reset()
    if torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(True)  # for the compiler, which `hybridsep.train.precision` did not tell


def compile_network(network: nn.Module) -> None:
    """Let calls of `network` run compiled. It stays the module that it is, with the names in its state_dict.

    The default mode makes no CUDA graphs of its own, so that on a GPU ours records the compiled kernels. Each shape is
    compiled for itself (training, evaluation and its last batch): general shapes are slower.
    """
    network.compile(dynamic=False)
