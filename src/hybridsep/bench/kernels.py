"""`bench kernels`: the study's layers that have Triton kernels of ours against the library's, both ways, on a GPU."""

from collections.abc import Callable
from typing import Any

import torch

from hybridsep.bench import gpu, output
from hybridsep.bench.rounds import alternate, ratios
from hybridsep.bench.settings import Settings
from hybridsep.errors import ConfigError
from hybridsep.kernels import Way, depthwise_cases, depthwise_ways, norm_cases, norm_ways
from hybridsep.report.table import Column, Table, number
from hybridsep.timing import spread
from hybridsep.train import precision

_NUMBER_FORMAT = "bfloat16"
_FIRST_CALLS = 3  # before a capture: they compile, choose and load kernels
_CALLS = 10  # in one graph, so that its launch does not count
_KINDS = {"depthwise": (depthwise_cases, depthwise_ways), "norm, ReLU": (norm_cases, norm_ways)}


class Captured:
    """Calls of one function as a CUDA graph, replayed; `work` is the bytes that a replay needs to move at the least."""

    def __init__(self, call: Callable[[], Any], *, floor_bytes: int):
        self.work = float(_CALLS * floor_bytes)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_FIRST_CALLS):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            for _ in range(_CALLS):
                call()

    def block(self, steps: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(steps):
                self._graph.replay()

        return run

    def end(self) -> None:
        pass


def run(settings: Settings, *, command: str) -> None:
    """Measure every shape, print the table and write it. Raises ConfigError without a GPU."""
    device = precision.resolve_device(settings.device)
    if device.type != "cuda":
        raise ConfigError(f"kernels needs a GPU, and device={settings.device} is a CPU; the other commands run on one")
    threads = precision.prepare(device, settings.threads)
    given = settings.kernels
    copies, _ = gpu.reached(device)
    lines = []
    for kind, (cases, ways) in _KINDS.items():
        for case in cases(settings.batch):
            lines += _measure(kind, case, ways, device, seconds=given.seconds, rounds=given.rounds)
            output.say(f"{kind}, {case.chs} channels at {case.height}x{case.width}: done")
    record = {
        "command": command,
        "batch": settings.batch,
        "precision": _NUMBER_FORMAT,
        "copy_bytes_per_second": spread(copies),
        "lines": lines,
        **output.origin(str(device), threads),
    }
    name = f"kernels-{output.label(settings.label, record['machine'])}"
    output.write(settings.results, name, record, [table(record)])


def _measure(
    kind: str, case: Any, ways: Callable[..., dict[str, Way]], device: torch.device, *, seconds: float, rounds: int
) -> list[dict[str, Any]]:
    """Return a line for each pass and way of one shape."""
    lines = []
    made = ways(case, device=device, precision=_NUMBER_FORMAT)
    for what in ("forward", "backward"):
        least = case.floor_bytes(what, precision=_NUMBER_FORMAT)
        sides = [Captured(getattr(way, what), floor_bytes=least) for way in made.values()]
        rates = alternate(sides, device, seconds=seconds, rounds=rounds)
        for name, own in zip(made, rates, strict=True):
            lines.append(
                {
                    "kind": kind,
                    "chs": case.chs,
                    "side": case.height,
                    "layers": case.layers,
                    "what": what,
                    "way": name,
                    "floor_bytes": least,
                    "bytes_per_second": spread(own),
                    "ratio": spread(ratios(own, rates[0])),
                    "rounds": own,
                }
            )
    return lines


def table(record: dict[str, Any]) -> Table:
    """Return the table of a record."""
    bandwidth = record["copy_bytes_per_second"]["median"]
    columns = [
        Column("Layer", lambda line: line["kind"], wide=True),
        Column("Shape", lambda line: f"{line['chs']} x {line['side']} x {line['side']}", wide=True),
        Column("Pass", lambda line: line["what"], wide=True),
        Column("Way", lambda line: line["way"], wide=True),
        Column("us", lambda line: number(1e6 * line["floor_bytes"] / line["bytes_per_second"]["median"], 1)),
        Column("GB/s", lambda line: _spread(line["bytes_per_second"], 1e9, 0)),
        Column("Of a copy", lambda line: f"{100 * line['bytes_per_second']['median'] / bandwidth:.0f} %"),
        Column("Ratio", lambda line: f"x {_spread(line['ratio'], 1.0, 2)}"),
    ]
    first = record["lines"][0]
    notes = [
        f"Batch {record['batch']}, {record['precision']}. Median ± half the interquartile range of"
        f" {first['ratio']['n']} rounds, {_CALLS} calls in a captured graph. GB/s: the bytes of the floor by the time"
        " (depthwise forward: input and output once; backward: input, gradient and its own gradient once. BatchNorm"
        " forward: input twice, output once; backward: input and gradient twice, its own gradient once). Of a copy:"
        f" by the {bandwidth / 1e12:.2f} TB/s of a 1 GiB copy in this process; small shapes stay in the GPU's cache and"
        " can exceed it. Ratio: speed by the library's, within each round.",
    ]
    heading = output.head(record)
    return Table("kernels", "Layers with kernels of ours", columns, record["lines"], (), heading=heading, notes=notes)


def _spread(value: dict[str, Any], unit: float, decimals: int) -> str:
    return f"{number(value['median'] / unit, decimals)} ± {number(value['iqr'] / 2 / unit, decimals)}"
