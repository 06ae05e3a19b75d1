"""Device, threads and number format of a run, decided once before anything is built."""

import os
import platform
from dataclasses import replace

import torch

from hybridsep.config.schema import NumberFormat, Precision
from hybridsep.errors import ConfigError
from hybridsep.runs import machine
from hybridsep.runs.record import Machine
from hybridsep.train.allocator import keep_freed_memory
from hybridsep.train.device_lock import lock_free_device

# As torch calls what multiplies bfloat16: of x86 the first two, of arm64 the last.
_BFLOAT16 = ("avx512_bf16", "amx_tile", "bf16")
# Limits of ONEDNN_MAX_CPU_ISA below the first instruction set that does.
_WITHOUT_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}


def resolve_device(device: str) -> torch.device:
    """Return the device for `device=auto|cpu|cuda|cuda:N`. Raises ConfigError when it is not there.

    `auto` locks a visible GPU that no other process of this project has (`hybridsep.train.device_lock`); a named one
    is not locked.
    """
    available = torch.cuda.device_count()
    if device == "auto":
        if not available:
            return torch.device("cpu")
        return torch.device(
            "cuda", lock_free_device([str(torch.cuda.get_device_properties(n).uuid) for n in range(available)])
        )
    if device == "cpu":
        return torch.device("cpu")
    number = device.removeprefix("cuda").removeprefix(":") or "0"
    if not number.isdecimal() or int(number) >= available:
        raise ConfigError(f"device={device} is not here: this machine has {available} CUDA devices; choose auto or cpu")
    return torch.device("cuda", int(number))


def multiplies_bfloat16() -> bool:
    """Return whether torch multiplies bfloat16 in hardware on this CPU; elsewhere it is emulated and slow.

    torch does so through oneDNN, which its wheels for macOS lack and which ONEDNN_MAX_CPU_ISA may hold back.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    if not torch.backends.mkldnn.is_available() or limit.upper() in _WITHOUT_BFLOAT16:
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) is True for name in _BFLOAT16)


def native_bfloat16(device: torch.device) -> bool:
    """Return whether `device` multiplies bfloat16 in hardware; elsewhere it is emulated, and slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return multiplies_bfloat16()


def resolve_precision(precision: Precision, device: torch.device) -> tuple[NumberFormat, str]:
    """Return `(bfloat16 or float32, a line worth saying or "")` for `precision=auto|bfloat16|float32` on `device`."""
    native = native_bfloat16(device)
    if precision == "auto":
        note = "" if native else f"precision: float32, because this {device.type} has no bfloat16 arithmetic"
        return ("bfloat16" if native else "float32"), note
    if precision == "bfloat16" and not native:
        return (
            precision,
            f"precision: bfloat16 is emulated on this {device.type} and slow; precision=auto takes float32",
        )
    return precision, ""


def prepare(device: torch.device, threads: int | None) -> int:
    """Set CPU threads, all cores by default, and deterministic kernels for this process; return the threads."""
    torch.set_num_threads(threads or machine.share_of_cores())
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        # cuBLAS needs a fixed workspace to be deterministic; it reads the variable when its first handle is made.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        # `torch.use_deterministic_algorithms(True)`, but that imports torch's compiler to tell it too: seconds at every
        # start. `hybridsep.train.compiling` tells it where it is used.
        torch.set_deterministic_debug_mode("error")
        # float32 means float32: cuDNN's convolutions would round their inputs to TF32's ten bits.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        # Else every new tensor is filled with NaN first: one more pass over memory for each activation.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.cuda.set_device(device)
    return torch.get_num_threads()


def describe_machine(device: str, threads: int) -> Machine:
    """Return what this machine is."""
    host = Machine(
        system=f"{platform.system()} {platform.machine()}",
        processor=machine.processor(),
        cores=machine.cores(),
        threads=threads,
        device=device.partition(":")[0],
    )
    if not device.startswith("cuda"):
        return host
    return replace(
        host,
        gpu=torch.cuda.get_device_name(device),
        cuda=torch.version.cuda,
        tf32=torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32,
    )


def autocast(device: torch.device, precision: NumberFormat) -> torch.autocast:
    """Return the context for forward passes. The cache of cast weights is off: every weight is used once a step."""
    enabled = precision == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled, cache_enabled=False)
