"""What every benchmark begins and ends with: the machine that it takes, and where its numbers go."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from hybridsep.bench import output
from hybridsep.bench.contention import CpuContention
from hybridsep.report.table import Table
from hybridsep.train import precision


class Session:
    """One command: where its numbers go, its device and threads, and how busy the rest of the machine is meanwhile.

    Device and threads are taken when they are first asked for, because a GPU that this process has is not there for
    the processes that some commands start first.
    """

    def __init__(
        self, *, command: str, results: str, label: str | None = None, device: str = "auto", threads: int | None = None
    ):
        self.results = results
        self._command, self._label, self._asked_device, self._asked_threads = command, label, device, threads
        self.contention = CpuContention()

    @functools.cached_property
    def device(self) -> torch.device:
        """The device, prepared for work. Raises ConfigError when it is not there."""
        device = precision.resolve_device(self._asked_device)
        self._threads = precision.prepare(device, self._asked_threads)
        return device

    @property
    def threads(self) -> int:
        """CPU threads of this process."""
        _ = self.device
        return self._threads

    @functools.cached_property
    def bfloat16(self) -> bool:
        """Whether the device multiplies bfloat16 in hardware."""
        return precision.native_bfloat16(self.device)

    def quiet(self, usual_loop: Sequence[tuple[float, float]] = ()) -> dict[str, Any]:
        """Return what a record says of the machine meanwhile: `busy_elsewhere`, and why its numbers are `rough`."""
        busy = self.contention.cores()
        return {"busy_elsewhere": busy, "rough": output.rough(busy, usual_loop)}

    def write(
        self,
        name: str,
        found: dict[str, Any],
        tables: Callable[[dict[str, Any]], Sequence[Table]],
        *,
        labelled: bool = True,
        finished: bool = True,
    ) -> None:
        """Write what was found, with where it is from, and its tables. Raises RecordError.

        Files are called `name`, and where numbers are a machine's, `labelled`, a dash and `output.label`. What is not
        `finished` has a name of its own, so that an earlier complete record stays, and is not printed.
        """
        record = {"command": self._command, **found, **output.origin(str(self.device), self.threads)}
        if labelled:
            name = f"{name}-{output.label(self._label, record['machine'])}"
        if finished:
            output.write(self.results, name, record, tables(record))
        else:
            output.save(self.results, name + output.UNFINISHED, record, tables(record))
