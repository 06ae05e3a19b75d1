"""The trials of one row, one after another or several at once: finished ones are skipped, begun ones go on."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from hybridsep.config import Config
from hybridsep.runs import asked, machine
from hybridsep.runs.progress import Monitor
from hybridsep.runs.record import Record
from hybridsep.runs.records import study_folder
from hybridsep.runs.stop import NEW_PROCESS, Stop
from hybridsep.train import compiling, cores
from hybridsep.train.concurrent import run_concurrently
from hybridsep.train.graph import TrialStream, new_process_needed
from hybridsep.train.prepare import PreparedRow, prepare
from hybridsep.train.step import DeviceData
from hybridsep.train.trial import Trial
from hybridsep.train.trial_runner import TrialRunner, existing_record, has_ended

_SHARE_OF_MEMORY = 0.8  # the rest is for the libraries' workspaces and for what allocators cannot use
_FRAGMENTATION = 1.3


def train_row(config: Config, trials: Iterable[int], *, monitor: Monitor, stop: Stop) -> list[str]:
    """Bring every trial of a configuration to its end, or as far as `stop` lets it; how each ended is in its record.

    Returns lines that say what is to be mended, such as a folder that cannot be written. Raises ConfigError, DataError
    and RecordError, before anything is written, for a configuration or data that are wrong, and for a trial's folder
    that holds another configuration or other data.
    """
    return train_prepared(prepare(config), trials, monitor=monitor, stop=stop)


def train_prepared(row: PreparedRow, trials: Iterable[int], *, monitor: Monitor, stop: Stop) -> list[str]:
    """Do what `train_row` says, once the configuration is resolved and checked."""
    # All records are read before the first trial is touched, so that a wrong one stops the command.
    records = {trial: existing_record(row, trial) for trial in trials}
    waiting = [trial for trial, record in records.items() if not has_ended(row, trial, record, monitor)]
    if not waiting:
        return []
    study, results = row.config.study, row.config.results
    try:
        asked.extend(study_folder(Path(results), study), {row.config.row: list(records)})
    except OSError as error:
        return [f"results={results} cannot be written: {error}"]
    if row.config.compile:
        compiling.begin_row()
    row, at_once = _shared_cores(row, waiting, [records[trial] for trial in waiting])
    data = None if row.own_images else row.on_device(row.dataset)
    at_once = at_once or _trials_that_fit(row, data, waiting, monitor)
    runner = TrialRunner(row, data, at_once=at_once, monitor=monitor, stop=stop)
    lines = run_concurrently(waiting, runner.run, at_once=at_once)
    if new_process_needed():
        stop.request(NEW_PROCESS)  # what is left of the command; this row is done
    return list(dict.fromkeys(filter(None, lines)))


def _shared_cores(row: PreparedRow, waiting: list[int], records: list[Record | None]) -> tuple[PreparedRow, int | None]:
    """Return the row with its threads set, and how many trials train at once; None: as many as a GPU's memory holds."""
    threads, at_once = row.config.threads, row.config.trials_at_once
    on_gpu, compiled = row.device.type != "cpu", row.config.compile
    if on_gpu or compiled:
        alone = not on_gpu or len(waiting) == 1 or (compiled and not row.config.cuda_graph)
        at_once = 1 if alone else at_once and min(at_once, len(waiting))
        share = cores.Cores(at_once or 1, threads or max(1, machine.share_of_cores() // (at_once or 1)))
    else:
        earlier = [record.machine.threads for record in records if record and record.machine.device == "cpu"]
        share = cores.share(
            machine.share_of_cores(),
            len(waiting),
            step_macs=row.cost.macs * row.config.schedule.batch_size,
            threads=threads,
            at_once=at_once,
            earlier=earlier[-1] if earlier else None,
        )
        at_once = share.trials_at_once
    torch.set_num_threads(share.threads)
    notes = [*row.notes, *share.notes]
    if not on_gpu:
        notes += cores.other_threads(study_folder(Path(row.config.results), row.config.study), share.threads)
    return replace(row, threads=share.threads, notes=tuple(notes)), at_once


def _trials_that_fit(row: PreparedRow, data: DeviceData | None, waiting: list[int], monitor: Monitor) -> int:
    """Return how many trials fit into a GPU's memory, and say so."""
    trial_bytes = _peak_bytes(row, data, waiting[0])
    torch.cuda.empty_cache()
    free_bytes, _ = torch.cuda.mem_get_info(row.device)
    at_once = trials_that_fit(len(waiting), free_bytes=free_bytes, trial_bytes=trial_bytes)
    monitor.say(
        f"{row.config.row}: {at_once} of {len(waiting)} trials side by side "
        f"({trial_bytes / 1e9:.1f} GB each, {free_bytes / 1e9:.0f} GB free); set trials_at_once= for another number"
    )
    return at_once


def trials_that_fit(trials: int, *, free_bytes: int, trial_bytes: int) -> int:
    """Return how many of `trials` fit into `free_bytes` at once, one taking `trial_bytes` at its peak: at least one."""
    return max(1, min(trials, int(_SHARE_OF_MEMORY * free_bytes / (_FRAGMENTATION * max(1, trial_bytes)))))


def _peak_bytes(row: PreparedRow, shared: DeviceData | None, trial: int) -> int:
    """Return what a trial takes on a GPU, measured by one that is made, does a step and an evaluation, and goes."""
    before, peak = torch.cuda.memory_allocated(row.device), 0
    data = shared or row.on_device(row.dataset_of(trial))
    with TrialStream(row.device, cuda_graph=False) as stream:
        sample = Trial(row.config, trial, data=data, build=row.build, device=row.device, stream=stream)
        # The step's memory belongs to its graph and the evaluation's to the allocator, so they add up.
        for work in sample.sample_work():
            torch.cuda.reset_peak_memory_stats(row.device)
            work()
            stream.wait()
            peak += torch.cuda.max_memory_allocated(row.device) - before
    return peak
