"""`bench throughput`: the reference loop against ours on the same network, switch by switch, timed in turn."""

import time
from contextlib import ExitStack, closing

import torch

from hybridsep.bench import output, rows
from hybridsep.bench.session import Session
from hybridsep.bench.settings import BenchSettings, Throughput
from hybridsep.bench.subprocess_worker import SubprocessWorkload
from hybridsep.bench.throughput_tables import Measurements, Row, Way, tables
from hybridsep.bench.timing import Timed, Workload, ratios, spread, time_in_rounds
from hybridsep.bench.variants import Variant, ablation
from hybridsep.bench.workloads import RowWorkloads
from hybridsep.config import Config
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
    dataset = rows.dataset(train=given.images)
    measured = Measurements(
        size=size,
        batch=settings.batch,
        workers=given.workers if given.workers is not None else min(8, machine.cores()),
        at_once=given.at_once or (10 if on_gpu else max(2, machine.cores())),
        dataset_bytes=dataset.train_images.nbytes + dataset.test_images.nbytes,
    )
    begun = time.monotonic()
    for number, config in enumerate(configs, 1):
        with torch.device("meta"):  # only its layers are asked for
            network = build.network_factory(config, classes=len(dataset.classes))()
        variants = ablation(
            at_once=measured.at_once,
            gpu=on_gpu,
            bfloat16=session.bfloat16,
            glibc=machine.glibc(),
            fast=has_fast(network, device),
            compiled=given.compile,
        )
        row = _measure(config, dataset, variants, given, session, workers=measured.workers)
        measured.models.append(row)
        left = (time.monotonic() - begun) / number * (len(configs) - number) / 60
        best = row.best
        output.say(f"{row.row}: {times(spread(best.ratios).median)} ({best.name}); about {left:.0f} min left")
        # After every row, because a row takes minutes and a borrowed machine can be gone before the last.
        session.write(
            f"throughput-{size}",
            measured.as_json(),
            tables(measured),
            usual_loop=[spread(row.usual.rounds) for row in measured.models],
            missing=[config.row for config in configs[number:]],
        )


def _measure(
    config: Config,
    dataset: Dataset,
    variants: list[Variant],
    given: Throughput,
    session: Session,
    *,
    workers: int,
) -> Row:
    """Return the measurements of one row: of each variant, and of the data path alone."""
    device = session.device
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
                keys: list[Key] = [*here, False]
                workloads = {
                    key: subprocesses.enter_context(closing(SubprocessWorkload(_workload, key, *made))) for key in keys
                }
            timed = time_in_rounds(workloads, device, seconds=given.seconds, rounds=given.rounds)
            for workload in workloads.values():
                if isinstance(workload, SubprocessWorkload):
                    session.contention.count(workload.seconds)
    except torch.OutOfMemoryError:
        raise ConfigError(f"batch={row.batch} is too large for the memory of {device} with {config.row}") from None
    ways = {variant: Way(variant.name, missing=variant.missing) for variant in variants}
    usual, before = timed[here[0]].rates, None
    for variant in here:
        rates = timed[variant].rates
        ways[variant] = Way(
            variant.name,
            rounds=rates,
            ratios=ratios(rates, usual),
            gains=ratios(rates, before) if before else [],
            memory_bytes=memory[variant],
            data_shares=_data_shares(variant, workloads, timed),
            graph=variant.graph,
            aside=variant.standalone,
        )
        before = before if variant.standalone else rates
    side = row.augmentation.size
    cost = cost_of(row.build(), side, side)
    gather = {"graph" if key else "eager": timed[key].rates for key in timed if isinstance(key, bool)}
    return Row(config.row, config.model.title, cost.params, cost.macs, list(ways.values()), gather)


def _data_shares(variant: Variant, workloads: dict[Key, Workload], timed: dict[Key, Timed]) -> list[float]:
    """Return the part of each round that a variant spent on data: counted in it, or by the gather alone, or unknown."""
    rates = timed[variant].rates
    if not variant.data_on_device:
        return list(workloads[variant].shares[-len(rates) :])
    return ratios(rates, timed[variant.graph].rates) if variant.at_once == 1 else []


def _workload(key: Key, config: Config, dataset: Dataset, threads: int, workers: int) -> Workload:
    """Return the workload of a key in a process that is made for it, on a CPU."""
    torch.set_num_threads(threads)
    if isinstance(key, bool) or key.kept:
        keep_freed_memory()
    row = RowWorkloads(config, dataset, torch.device("cpu"), workers=workers)
    return row.data_path(graph=key) if isinstance(key, bool) else row.make(key)
