"""Where a number is from: versions, machine and git state, as they are written into record.json."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from hybridsep.runs.machine import processor

_PACKAGES = ("torch", "numpy", "hydra-core", "omegaconf", "pillow", "torchvision")


def versions() -> dict[str, str]:
    """Return the versions of Python, this project and the packages that can change a result, as far as installed."""
    found = {"python": platform.python_version()}
    for package in ("hybridsep", *_PACKAGES):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine(device: str, threads: int) -> dict[str, Any]:
    """Return processor, cores, device name and threads of this machine; no host name, no path."""
    import torch

    description: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        # Which of several equal GPUs it was changes nothing, and a trial may go on on another.
        "device": device.partition(":")[0],
    }
    if device.startswith("cuda"):
        description["gpu"] = torch.cuda.get_device_name(device)
        description["cuda"] = torch.version.cuda
    return description


def git_state() -> dict[str, Any]:
    """Return `{"commit", "dirty"}` of the checkout this package runs from; both None when it is an installed copy."""
    source = Path(__file__).resolve().parents[3]
    if not (source / "pyproject.toml").is_file():
        return {"commit": None, "dirty": None}
    try:
        ask = ["git", "-C", str(source)]
        options: dict[str, Any] = {"capture_output": True, "text": True, "check": True, "timeout": 10}
        commit = subprocess.run([*ask, "rev-parse", "HEAD"], **options).stdout.strip()
        changed = subprocess.run([*ask, "status", "--porcelain", "--", "src", "conf"], **options).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(changed)}
