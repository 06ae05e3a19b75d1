"""`bench throughput`: the reference loop against ours on the same network, switch by switch, timed in turn."""

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any

import torch

from hybridsep.bench import output, rows
from hybridsep.bench.session import Session
from hybridsep.bench.settings import BenchSettings
from hybridsep.bench.subprocess_worker import SubprocessWorkload
from hybridsep.bench.throughput_tables import best, tables
from hybridsep.bench.timing import Timed, Workload, ratios, spread, time_in_rounds
from hybridsep.bench.variants import Variant, ablation
from hybridsep.bench.workloads import RowWorkloads
from hybridsep.data import Dataset
from hybridsep.errors import ConfigError
from hybridsep.modules.fast import has_fast
from hybridsep.networks.cost import cost_of
from hybridsep.report.table import times
from hybridsep.runs import machine
from hybridsep.train import build
from hybridsep.train.allocator import keep_freed_memory

# What is timed: a variant, or our gather alone, captured or not.
Key = Variant | bool


def run(settings: BenchSettings, session: Session) -> None:
    """Measure every model, print the tables and write them."""
    given, size = settings.throughput, settings.size
    configs = rows.of_models(settings.models, size=size, batch=settings.batch)
    device = session.device
    on_gpu = device.type == "cuda"
    at_once = given.at_once or (10 if on_gpu else max(2, machine.cores()))
    workers = given.workers if given.workers is not None else min(8, machine.cores())
    here = {
        "at_once": at_once,
        "gpu": on_gpu,
        "bfloat16": session.bfloat16,
        "glibc": machine.glibc(),
        "compiled": given.compile,
    }
    dataset = rows.dataset(train=given.images)
    models: list[dict[str, Any]] = []
    record = {
        "size": size,
        "batch": settings.batch,
        "workers": workers,
        "at_once": at_once,
        "dataset_bytes": dataset.train_images.nbytes + dataset.test_images.nbytes,
        "models": models,
    }
    begun = time.monotonic()
    for number, config in enumerate(configs, 1):
        with torch.device("meta"):  # only its layers are asked for
            network = build.network_factory(config, classes=len(dataset.classes))()
        variants = ablation(**here, fast=has_fast(network, device))
        models.append(_measure(config, dataset, variants, settings, session, workers=workers))
        fastest = best(models[-1])
        left = (time.monotonic() - begun) / number * (len(configs) - number) / 60
        output.say(
            f"{config['row']}: {times(fastest['ratio']['median'])} ({fastest['name']}); about {left:.0f} min left"
        )
        usual = [model["ways"][0]["images_per_second"] for model in models]
        record |= session.quiet([(rate["median"], rate["iqr"]) for rate in usual])
        record["missing"] = [config["row"] for config in configs[number:]]
        # After every row, because a row takes minutes and a borrowed machine can be gone before the last.
        session.write(f"throughput-{size}", record, tables, finished=not record["missing"])


def _measure(
    config: dict[str, Any],
    dataset: Dataset,
    variants: list[Variant],
    settings: BenchSettings,
    session: Session,
    *,
    workers: int,
) -> dict[str, Any]:
    """Return what the record says of one row: of each variant, and of the data path alone."""
    given, device, batch = settings.throughput, session.device, settings.batch
    here = [variant for variant in variants if not variant.missing]
    row = RowWorkloads(config, dataset, device, workers=workers)
    workloads: dict[Key, Workload]
    try:
        with ExitStack() as subprocesses:
            memory = {variant: row.memory(variant) for variant in here}
            if device.type == "cuda":
                workloads = {variant: row.make(variant) for variant in here}
                workloads |= {graph: row.data_path(graph=graph) for graph in (False, True)}
            else:
                made = (config, dataset, session.threads, workers)
                workloads = {
                    key: subprocesses.enter_context(closing(SubprocessWorkload(_workload, key, *made)))
                    for key in (*here, False)
                }
            timed = time_in_rounds(workloads, device, seconds=given.seconds, rounds=given.rounds)
            for workload in workloads.values():
                if isinstance(workload, SubprocessWorkload):
                    session.contention.count(workload.seconds)
    except torch.OutOfMemoryError:
        raise ConfigError(f"batch={batch} is too large for the memory of {device} with {config['row']}") from None
    ways = {variant: way_record(variant) for variant in variants}
    before: list[float] = []
    for variant in here:
        rates, shares = timed[variant].rates, _data_shares(variant, workloads, timed)
        more = {
            "memory_bytes": memory[variant],
            "data_share": spread(shares) if shares else None,
        }
        ways[variant] = way_record(variant, rates, usual=timed[here[0]].rates, before=before, **more)
        before = before if variant.standalone else rates
    side = row.sampler.size
    cost = cost_of(row.build(), side, side)
    return {
        "row": config["row"],
        "title": config["model"]["title"],
        "params": cost.params,
        "macs": cost.macs,
        "ways": list(ways.values()),
        "gather_images_per_second": {
            "graph" if key else "eager": spread(timed[key].rates) for key in timed if isinstance(key, bool)
        },
    }


def way_record(
    variant: Variant,
    rates: Sequence[float] = (),
    *,
    usual: Sequence[float] = (),
    before: Sequence[float] = (),
    **more: Any,
) -> dict[str, Any]:
    """Return what the record says of one variant; of a missing one only its name and what is missing.

    `rates`: images/s in every round; `usual`: those of the reference loop; `before`: those of the variant before, none
    for the first. More: `memory_bytes`; `data_share`, the part of the time that goes into making batches, where it can
    be told.
    """
    said = {
        "name": variant.name,
        "missing": variant.missing,
        "graph": variant.graph and not variant.missing,
        "aside": variant.standalone,
        "ratio": None,
    }
    if not rates:
        return said
    return said | {
        "images_per_second": spread(rates),
        "ratio": spread(ratios(rates, usual)),
        "gain": spread(ratios(rates, before)) if before else None,
        "rounds": rates,
        **more,
    }


def _data_shares(variant: Variant, workloads: dict[Key, Workload], timed: dict[Key, Timed]) -> list[float]:
    """Return the part of each round that a variant spent on data: counted in it, or by the gather alone, or unknown."""
    rates = timed[variant].rates
    if not variant.data_on_device:
        return workloads[variant].shares[-len(rates) :]
    return ratios(rates, timed[variant.graph].rates) if variant.at_once == 1 else []


def _workload(key: Key, config: dict[str, Any], dataset: Dataset, threads: int, workers: int) -> Workload:
    """Return the workload of a key in a process that is made for it, on a CPU."""
    torch.set_num_threads(threads)
    if isinstance(key, bool) or key.kept:
        keep_freed_memory()
    row = RowWorkloads(config, dataset, torch.device("cpu"), workers=workers)
    return row.data_path(graph=key) if isinstance(key, bool) else row.make(key)
