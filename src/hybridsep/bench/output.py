"""What every benchmark begins and ends with: the machine that it takes, and the files and tables of its numbers."""

import datetime
import functools
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hybridsep.bench.contention import CpuContention
from hybridsep.bench.timing import Spread
from hybridsep.report import terminal
from hybridsep.report.output import write_files
from hybridsep.report.render import markdown
from hybridsep.report.speed import DISTURBED
from hybridsep.report.speed_records import FORMAT
from hybridsep.report.table import Table
from hybridsep.runs import provenance
from hybridsep.runs.record import Git, Machine
from hybridsep.train import precision

MOST_SPREAD = 0.05  # of the usual loop's rate in a table that is quoted elsewhere
_MAKERS = re.compile(r"^(nvidia|amd|intel)[ -]+|geforce |graphics ", re.IGNORECASE)


def say(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


class Session:
    """One command: where its numbers go, its device and threads, and how busy the rest of the machine is meanwhile.

    Device and threads are taken when they are first asked for, because a GPU that this process has is not there for
    the processes that some commands start first.
    """

    def __init__(
        self, *, command: str, results: str, label: str | None = None, device: str = "auto", threads: int | None = None
    ):
        self.contention = CpuContention()
        self.command, self._results, self._label = command, results, label
        self._asked = device, threads

    @functools.cached_property
    def _prepared(self) -> tuple[torch.device, int]:
        device = precision.resolve_device(self._asked[0])
        return device, precision.prepare(device, self._asked[1])

    @property
    def device(self) -> torch.device:
        """The device, prepared for work. Raises ConfigError when it is not there."""
        return self._prepared[0]

    @property
    def threads(self) -> int:
        """CPU threads of this process."""
        return self._prepared[1]

    @functools.cached_property
    def bfloat16(self) -> bool:
        """Whether the device multiplies bfloat16 in hardware."""
        return precision.native_bfloat16(self.device)

    def write(
        self,
        name: str,
        measurements: Any,
        tables: Sequence[Table],
        *,
        timed: bool = True,
        usual_loop: Sequence[Spread] = (),
        labelled: bool = True,
        missing: Sequence[str] = (),
    ) -> None:
        """Write `bench/<name>.json` and `.md` under the results folder, and print the tables. Raises RecordError.

        `measurements` is a dataclass; the JSON file has its fields and where they are from. Where numbers are a
        machine's, `labelled`, the name gets a dash and `label`. `timed` numbers say how busy the machine was meanwhile,
        and why they are rough if they are; `usual_loop` has that of every row. While rows are `missing` the files are
        called `<name>-unfinished`, so that an earlier complete record stays, and nothing is printed. The first table
        gets the lines of `heading`, if it has none of its own, and the warning.
        """
        origin = Origin.here(str(self.device), self.threads)
        record = {"command": self.command, **asdict(measurements), **asdict(origin)}
        reasons: list[str] = []
        if timed:
            busy = self.contention.cores()
            reasons = rough(busy, usual_loop)
            record |= {"busy_elsewhere": busy, "rough": reasons}
        if missing:
            record["missing"] = list(missing)
        heading = [f"`{self.command}`", str(origin)]
        if size := getattr(measurements, "size", ""):
            heading.append(f"Size {size}, batch {measurements.batch}, built-in 32x32 images.")
        first = replace(tables[0], heading=tables[0].heading or heading, warning=warning(reasons, missing))
        complete = [first, *tables[1:]]
        if labelled:
            name = f"{name}-{label(self._label, origin.machine.gpu)}"
        unfinished = f"{name}-unfinished"
        path = f"bench/{unfinished if missing else name}"
        page = "\n".join(map(markdown, complete))
        write_files(
            Path(self._results), {f"{path}.json": as_json(record), f"{path}.md": page.encode(errors="backslashreplace")}
        )
        if missing:
            return
        for suffix in (".json", ".md"):
            Path(self._results, "bench", unfinished + suffix).unlink(missing_ok=True)
        screen = terminal.console()
        for line in filter(None, [first.warning, *first.heading]):
            screen.print(line, markup=False, soft_wrap=True)
        for table in complete:
            terminal.print_table(screen, table)
        screen.print(f"Written: {Path(self._results, path)}.json and .md", soft_wrap=True)


@dataclass(frozen=True)
class Origin:
    """Where numbers are from; `machine`, `versions` and `git` as in the records of trials."""

    machine: Machine
    versions: dict[str, str]
    git: Git
    measured: str
    format: int = FORMAT

    @classmethod
    def here(cls, device: str, threads: int) -> "Origin":
        """Return what there is to say of this process."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(precision.describe_machine(device, threads), provenance.versions(), provenance.git_state(), now)

    def __str__(self) -> str:
        here = self.machine
        place = " with ".join(filter(None, [here.gpu, here.processor]))
        names = ("python", "torch", "torchvision")
        software = ", ".join(f"{name} {self.versions[name]}" for name in names if name in self.versions)
        count = f"{here.threads} {'thread' if here.threads == 1 else 'threads'} of {here.cores} cores"
        return f"{place}, {count}; {software}; measured {self.measured[:10]}."


def label(typed: str | None, gpu: str | None) -> str:
    """Return the end of a file's name: what was typed, else the GPU's model, such as `h200`, else `cpu`."""
    if typed:
        return typed
    name = _MAKERS.sub("", gpu or "cpu").lower()
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:40] or "gpu"


def rough(busy: float | None, usual_loop: Sequence[Spread] = ()) -> list[str]:
    """Return why numbers are not to be quoted: `busy` cores of other programs, or a usual loop that varied too much."""
    reasons = []
    if busy is not None and busy >= DISTURBED:
        reasons.append(f"other programs kept {busy:.1f} cores busy")
    if (most := max((rates.iqr / rates.median for rates in usual_loop), default=0.0)) >= MOST_SPREAD:
        reasons.append(f"the usual loop's rate varied by up to {most:.0%} (interquartile range by median)")
    return reasons


def warning(reasons: Sequence[str], missing: Sequence[str]) -> str | None:
    """Return what a reader should be told of numbers that are rough or not complete, or None."""
    parts = [f"Not finished: {', '.join(missing)} not measured."] if missing else []
    if reasons:
        parts.append(f"Rough numbers, not to be quoted: {'; '.join(reasons)}.")
    return " ".join(parts) or None


def as_json(record: dict[str, Any]) -> bytes:
    """Return a record as JSON. Lists of numbers stand on one line: a round's value each would make thousands."""
    text = json.dumps(record, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    text = re.sub(r"\[[\s\d.,eE+-]+\]", lambda numbers: re.sub(r"\s+", " ", numbers[0]), text)
    return f"{text}\n".encode(errors="backslashreplace")
