"""What every benchmark begins and ends with: the machine that it takes, and where its numbers go."""

import functools
from collections.abc import Sequence
from typing import Any

import torch

from hybridsep.bench import output
from hybridsep.bench.contention import CpuContention
from hybridsep.bench.timing import Spread
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
        self.command = command
        self._label, self._asked_device, self._asked_threads = label, device, threads
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

    def write(
        self,
        name: str,
        found: dict[str, Any],
        tables: Sequence[Table],
        *,
        timed: bool = True,
        usual_loop: Sequence[Spread] = (),
        labelled: bool = True,
        missing: Sequence[str] = (),
    ) -> None:
        """Write what was found, as the record has it, with where it is from, and its tables. Raises RecordError.

        Files are called `name`, and where numbers are a machine's, `labelled`, a dash and `output.label`. `timed`
        numbers say how busy the machine was meanwhile, and why they are rough if they are; `usual_loop` has that of
        every row. While rows are `missing` the files have a name of their own, so that an earlier complete record
        stays, and nothing is printed.
        """
        record = {"command": self.command, **found, **output.origin(str(self.device), self.threads)}
        if timed:
            busy = self.contention.cores()
            record |= {"busy_elsewhere": busy, "rough": output.rough(busy, usual_loop)}
        if labelled:
            name = f"{name}-{output.label(self._label, record['machine'])}"
        if missing:
            output.save(self.results, name + output.UNFINISHED, record | {"missing": list(missing)}, tables)
        else:
            output.write(self.results, name, record, tables)
