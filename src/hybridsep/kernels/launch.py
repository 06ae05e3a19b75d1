"""What every launch of a Triton program needs: the programs, the lock, the answer whether the interpreter runs them."""

import importlib
import threading
from typing import Any

from hybridsep.errors import ConfigError

# Triton promises nothing about two threads that compile or launch one kernel for the first time at once.
LAUNCH = threading.Lock()


def load(name: str) -> Any:
    """Return the module `hybridsep.kernels.<name>` of Triton programs. Raises ConfigError without Triton."""
    try:
        return importlib.import_module(f"hybridsep.kernels.{name}")
    except ImportError as error:
        raise ConfigError(
            f"kernels=triton needs the package triton, which is not here ({error}); kernels=library is allowed"
        ) from error


def interpreted() -> bool:
    """Return whether Triton's interpreter runs the programs (TRITON_INTERPRET=1), on a CPU."""
    compiled = load("programs")
    return not isinstance(compiled.correlate, compiled.triton.JITFunction)
