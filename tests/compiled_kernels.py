"""Triton programs compiled for an H200 instead of run, which needs no GPU."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@contextlib.contextmanager
def compiling(
    monkeypatch: pytest.MonkeyPatch, cache: Path, programs: ModuleType, names: tuple[str, ...]
) -> Iterator[list[tuple[str, Any]]]:
    """Within, launches of these programs compile them for sm_90, with their own arguments, and add them to the list."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(cache))
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    compiled: list[tuple[str, Any]] = []

    class Compile:
        def __init__(self, kernel: Any):
            self._kernel = kernel

        def __getitem__(self, grid: tuple[int, ...]) -> Any:
            def launch(*args: Any, **options: Any) -> None:
                compiled.append((self._kernel.__name__, self._kernel.warmup(*args, grid=grid, **options)))

            return launch

    class H200:
        get_current_device = staticmethod(lambda: 0)
        get_current_stream = staticmethod(lambda device: 0)
        get_current_target = staticmethod(lambda: GPUTarget("cuda", 90, 32))

    kernels = [getattr(programs, name) for name in names]
    with monkeypatch.context() as patch:
        for kernel in kernels:
            patch.setattr(programs, kernel.__name__, Compile(kernel))
        patch.setattr(driver, "_active", H200())
        try:
            yield compiled
        finally:
            for kernel in kernels:
                kernel.device_caches.clear()  # another GPU than this one may be device 0
