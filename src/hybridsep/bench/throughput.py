"""`bench throughput`: the reference loop against ours on the same network, switch by switch, timed in turn."""

import time
from contextlib import ExitStack, closing

import torch

from hybridsep.bench import output, rows
from hybridsep.bench.output import Session
from hybridsep.bench.settings import BenchSettings, Throughput
from hybridsep.bench.subprocess_worker import SubprocessWorkload
from hybridsep.bench.throughput_tables import Gather, Measurements, Row, Way, tables
from hybridsep.bench.timing import Timed, Workload, ratios, spread, time_in_rounds
from hybridsep.bench.variants import Variant, ablation
from hybridsep.bench.workloads import RowWorkloads
from hybridsep.config import Config
from hybridsep.data import Dataset
from hybridsep.errors import ConfigError
from hybridsep.networks.cost import cost_of
from hybridsep.report.table import times
from hybridsep.runs import machine
from hybridsep.train.allocator import keep_freed_memory

# What is timed: a variant, or our gather alone, captured or not.
Key = Variant | bool


def run(settings: BenchSettings, session: Session) -> None:
    """Measure every model, print the tables and write them."""
    options, size = settings.throughput, settings.size
    configs = rows.of_models(settings.models, size=size, batch=settings.batch)
    on_gpu = session.device.type == "cuda"
    dataset = rows.dataset(train=options.images)
    measurements = Measurements(
        size=size,
        batch=settings.batch,
        workers=options.workers if options.workers is not None else min(8, machine.cores()),
        at_once=options.at_once or (10 if on_gpu else max(2, machine.cores())),
        dataset_bytes=dataset.train_images.nbytes + dataset.test_images.nbytes,
    )
    begun = time.monotonic()
    for number, config in enumerate(configs, 1):
        workloads = RowWorkloads(config, dataset, session.device, workers=measurements.workers)
        variants = ablation(
            at_once=measurements.at_once,
            gpu=on_gpu,
            bfloat16=session.bfloat16,
            glibc=machine.glibc(),
            fast=workloads.has_fast,
            compiled=options.compile,
        )
        row = _measure(workloads, variants, options, session)
        measurements.models.append(row)
        left = (time.monotonic() - begun) / number * (len(configs) - number) / 60
        gain = times(spread(row.best.ratios).median)
        output.say(f"{row.row}: {gain} ({row.best.variant.name}); about {left:.0f} min left")
        # After every row, because a row takes minutes and a borrowed machine can be gone before the last.
        session.write(
            f"throughput-{size}",
            measurements,
            tables(measurements),
            usual_loop=[spread(row.usual.rates) for row in measurements.models],
            missing=[config.row for config in configs[number:]],
        )


def _measure(row: RowWorkloads, variants: list[Variant], options: Throughput, session: Session) -> Row:
    """Return the measurements of one row: of each variant, and of the data path alone."""
    device = session.device
    here = [variant for variant in variants if not variant.missing]
    workloads: dict[Key, Workload]
    try:
        with ExitStack() as subprocesses:
            memory = {variant: row.memory(variant) for variant in here}
            keys: list[Key] = [*here, False]
            if device.type == "cuda":
                workloads = {key: _workload(key, row) for key in [*keys, True]}
            else:
                made = (row.config, row.dataset, session.threads, row.workers)
                workloads = {
                    key: subprocesses.enter_context(closing(SubprocessWorkload(_in_process, key, *made)))
                    for key in keys
                }
            timed = time_in_rounds(workloads, device, seconds=options.seconds, rounds=options.rounds)
            for workload in workloads.values():
                if isinstance(workload, SubprocessWorkload):
                    session.contention.count(workload.seconds)
    except torch.OutOfMemoryError:
        raise ConfigError(f"batch={row.batch} is too large for the memory of {device} with {row.config.row}") from None
    usual = timed[here[0]].rates
    before: list[float] = []
    ways: list[Way] = []
    for variant in variants:
        if variant.missing:
            ways.append(Way(variant))
            continue
        rates = timed[variant].rates
        gains = ratios(rates, before) if before else []
        shares = _data_shares(variant, workloads, timed)
        ways.append(Way(variant, rates, ratios(rates, usual), gains, memory[variant], shares))
        before = before if variant.standalone else rates
    cost = cost_of(row.build(), row.augmentation.size, row.augmentation.size)
    gather = Gather(timed[False].rates, timed[True].rates if True in timed else [])
    return Row(row.config.row, row.config.model.title, cost.params, cost.macs, ways, gather)


def _data_shares(variant: Variant, workloads: dict[Key, Workload], timed: dict[Key, Timed]) -> list[float]:
    """Return the part of each round that a variant spent on data: counted in it, or by the gather alone, or unknown."""
    rates = timed[variant].rates
    if not variant.data_on_device:
        return list(workloads[variant].shares[-len(rates) :])
    return ratios(rates, timed[variant.graph].rates) if variant.at_once == 1 else []


def _workload(key: Key, row: RowWorkloads) -> Workload:
    return row.data_path(graph=key) if isinstance(key, bool) else row.make(key)


def _in_process(key: Key, config: Config, dataset: Dataset, threads: int, workers: int) -> Workload:
    """Return the workload of a key in a process that is made for it, on a CPU."""
    torch.set_num_threads(threads)
    if isinstance(key, bool) or key.kept:
        keep_freed_memory()
    return _workload(key, RowWorkloads(config, dataset, torch.device("cpu"), workers=workers))
