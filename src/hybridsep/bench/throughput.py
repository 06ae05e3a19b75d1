"""`bench throughput`: the usual loop against ours on the same network, switch by switch, timed in turn."""

import time
from contextlib import ExitStack, closing
from typing import Any

import torch

from hybridsep.bench import gpu, need, output, rows, startup
from hybridsep.bench.apart import Apart
from hybridsep.bench.contention import CpuContention
from hybridsep.bench.ladder import Way, Workshop, ladder, own_determinism
from hybridsep.bench.rounds import Side, alternate, ratios
from hybridsep.bench.settings import Settings
from hybridsep.bench.throughput_tables import tables
from hybridsep.bench.timing import spread
from hybridsep.data import Dataset
from hybridsep.errors import ConfigError
from hybridsep.modules.grouped import narrow_groups
from hybridsep.runs import machine
from hybridsep.train import build, precision
from hybridsep.train.allocator import keep_freed_memory
from hybridsep.train.step import DeviceData

_PROFILED_STEPS = 20


def run(settings: Settings, *, command: str) -> None:
    """Measure every model, print the tables and write them."""
    given, size = settings.throughput, settings.size or "small"
    configs = rows.of_models(settings.models, size=size, batch=settings.batch)
    elsewhere = CpuContention()
    # First, because a GPU that this process has taken is not there for the processes that are started.
    starts = startup.measure(device=settings.device, starts=given.starts) if given.starts else []
    device = precision.resolve_device(settings.device)
    threads = precision.prepare(device, settings.threads)
    on_gpu = device.type == "cuda"
    at_once = given.at_once or (10 if on_gpu else max(2, machine.cores()))
    workers = given.workers if given.workers is not None else min(8, machine.cores())
    here = {
        "at_once": at_once,
        "gpu": on_gpu,
        "bfloat16": precision.native_bfloat16(device),
        "glibc": machine.glibc(),
        "compiled": given.compile,
    }
    dataset = rows.dataset(train=given.images)
    copies, products = gpu.reached(device) if on_gpu else ([], [])
    record = {
        "command": command,
        "size": size,
        "batch": settings.batch,
        "workers": workers,
        "at_once": at_once,
        "dataset_bytes": dataset.train_images.nbytes + dataset.test_images.nbytes,
        "reached": {"bytes_per_second": spread(copies), "flops_per_second": spread(products)} if on_gpu else None,
        "starts": starts,
        "models": [],
    }
    begun = time.monotonic()
    for number, config in enumerate(configs, 1):
        with torch.device("meta"):  # only its layers are asked for
            network = build.network_factory(config, classes=len(dataset.classes))()
        ways = ladder(**here, grouped=bool(narrow_groups(network)))
        measured = _measure(config, dataset, ways, device, settings, elsewhere, workers=workers)
        record["models"].append(measured)
        best = max(measured["ways"], key=lambda way: (way["ratio"] or {"median": 0})["median"])
        left = (time.monotonic() - begun) / number * (len(configs) - number) / 60
        output.say(f"{config['row']}: x {best['ratio']['median']:.2f} ({best['name']}); about {left:.0f} min left")
    record |= {"busy_elsewhere": elsewhere.cores(), **output.origin(str(device), threads)}
    name = f"throughput-{size}-{output.label(settings.label, record['machine'])}"
    output.write(settings.results, name, record, tables(record))


def _measure(
    config: dict[str, Any],
    dataset: Dataset,
    ways: list[Way],
    device: torch.device,
    settings: Settings,
    elsewhere: CpuContention,
    *,
    workers: int,
) -> dict[str, Any]:
    """Return what was measured of one model: of each way, in the order of `ways`, and of the data path alone."""
    given, on_gpu = settings.throughput, device.type == "cuda"
    data = DeviceData.load(dataset, device, padding=config["augmentation"]["padding"], mean=None, std=None)
    workshop = Workshop(config, dataset, data, device, workers=workers)
    here = [way for way in ways if not way.missing]
    try:
        with own_determinism(), ExitStack() as apart:
            memory = [workshop.memory(way) for way in here]
            if on_gpu:
                sides: list[Side] = [workshop.side(way) for way in here]
                paths: dict[bool, Side] = {graph: workshop.data_path(graph=graph) for graph in (False, True)}
            else:
                made = (config, dataset, torch.get_num_threads(), workers)
                sides = [apart.enter_context(closing(Apart(_side, way, *made))) for way in here]
                paths = {False: apart.enter_context(closing(Apart(_side, None, *made)))}
            rates = alternate([*sides, *paths.values()], device, seconds=given.seconds, rounds=given.rounds)
            busy = [_busy(side, device) if on_gpu else None for side in sides]
            for side in (*sides, *paths.values()):
                elsewhere.count(side.seconds if isinstance(side, Apart) else 0.0)
    except torch.OutOfMemoryError:
        raise ConfigError(
            f"batch={settings.batch} is too large for the memory of {device} with {config['row']}"
        ) from None
    gathering = dict(zip(paths, rates[len(here) :], strict=True))
    lines, base, before = [], rates[0], None
    for way in ways:
        line: dict[str, Any] = {
            "name": way.name,
            "missing": way.missing,
            "graph": way.graph and not way.missing,
            "aside": way.aside,
            "ratio": None,
        }
        if not way.missing:
            at = here.index(way)
            own = rates[at]
            if not way.data_on_device:
                shares = sides[at].shares[-given.rounds :]
            elif way.at_once == 1:
                shares = ratios(own, gathering[way.graph])
            else:
                shares = []
            line |= {
                "images_per_second": spread(own),
                "ratio": spread(ratios(own, base)),
                "gain": spread(ratios(own, before)) if before else None,
                "memory_bytes": memory[at],
                "data_share": spread(shares) if shares else None,
                "busy_share": busy[at],
                "rounds": own,
            }
            before = before if way.aside else own
        lines.append(line)
    least = need.of(config, classes=len(dataset.classes), height=dataset.train_images.shape[1])
    return {
        "row": config["row"],
        "title": config["model"]["title"],
        "params": least.params,
        "macs": least.macs,
        "step_bytes": least.training_bytes(settings.batch),
        "step_flops": least.training_flops(settings.batch),
        "ways": lines,
        "gather_images_per_second": {
            "graph" if graph else "eager": spread(found) for graph, found in gathering.items()
        },
    }


def _side(way: Way | None, config: dict[str, Any], dataset: Dataset, threads: int, workers: int) -> Side:
    """Return a way's side, or for None that of the data path, in a process that is made for it, on a CPU."""
    device = torch.device("cpu")
    torch.set_num_threads(threads)
    if way is None or way.kept:
        keep_freed_memory()
    data = DeviceData.load(dataset, device, padding=config["augmentation"]["padding"], mean=None, std=None)
    workshop = Workshop(config, dataset, data, device, workers=workers)
    return workshop.data_path(graph=False) if way is None else workshop.side(way)


def _busy(side: Side, device: torch.device) -> float:
    try:
        return gpu.busy_share(side.block(_PROFILED_STEPS), device)
    finally:
        side.end()
