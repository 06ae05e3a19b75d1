"""The trials of one row, one after another or several at once: finished ones are skipped, begun ones go on."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from hybridsep.config import Config
from hybridsep.runs import asked, machine
from hybridsep.runs.progress import Monitor
from hybridsep.runs.records import study_folder
from hybridsep.runs.stop import NEW_PROCESS, Stop
from hybridsep.train import compiling, cores
from hybridsep.train.concurrent import run_concurrently, trials_that_fit
from hybridsep.train.graph import TrialStream, new_process_needed
from hybridsep.train.prepare import PreparedRow, prepare
from hybridsep.train.step import DeviceData
from hybridsep.train.trial import Trial
from hybridsep.train.trial_runner import TrialRunner, existing_record, folder_of, has_ended, on_device


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
    if reason := _write_down(row, list(records)):
        return [reason]
    if row.config.compile:
        compiling.begin_row()
    row, at_once = _shared_cores(row, waiting)
    data = None if row.own_images else on_device(row, row.dataset)
    at_once = at_once or _trials_that_fit(row, data, waiting, monitor)
    runner = TrialRunner(row, data, at_once=at_once, monitor=monitor, stop=stop)
    lines = run_concurrently(waiting, runner.run, at_once=at_once)
    if new_process_needed():
        stop.request(NEW_PROCESS)  # what is left of the command; this row is done
    return list(dict.fromkeys(filter(None, lines)))


def _write_down(row: PreparedRow, trials: list[int]) -> str:
    """Write down that the trials were asked for, for `status`; return why it could not be."""
    results = row.config.results
    try:
        asked.extend(study_folder(Path(results), row.config.study), {row.config.row: trials})
    except OSError as error:
        return f"results={results} cannot be written: {error}"
    return ""


def _shared_cores(row: PreparedRow, waiting: list[int]) -> tuple[PreparedRow, int | None]:
    """Return the row with its threads set, and how many trials train at once; None: as many as a GPU's memory holds."""
    threads, at_once = row.config.threads, row.config.trials_at_once
    on_gpu, compiled = row.device.type != "cpu", row.config.compile
    if on_gpu or compiled:
        alone = not on_gpu or len(waiting) == 1 or (compiled and not row.config.cuda_graph)
        at_once = 1 if alone else at_once and min(at_once, len(waiting))
        share = cores.Cores(at_once or 1, threads or max(1, machine.share_of_cores() // (at_once or 1)))
    else:
        share = cores.share(
            machine.share_of_cores(),
            len(waiting),
            step_macs=row.cost.macs * row.config.schedule.batch_size,
            threads=threads,
            at_once=at_once,
            earlier=cores.earlier_threads([folder_of(row, trial) for trial in waiting]),
        )
        at_once = share.trials_at_once
    torch.set_num_threads(share.threads)
    return replace(row, threads=share.threads, notes=(*row.notes, *share.notes)), at_once


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


def _peak_bytes(row: PreparedRow, shared: DeviceData | None, trial: int) -> int:
    """Return what a trial takes on a GPU, measured by one that is made, does a step and an evaluation, and goes."""
    before, peak = torch.cuda.memory_allocated(row.device), 0
    data = shared or on_device(row, row.dataset_of(trial))
    with TrialStream(row.device, cuda_graph=False) as stream:
        sample = Trial(row.config, trial, data=data, build=row.build, device=row.device, stream=stream)
        # The step's memory belongs to its graph and the evaluation's to the allocator, so they add up.
        for work in sample.sample_work():
            torch.cuda.reset_peak_memory_stats(row.device)
            work()
            stream.wait()
            peak += torch.cuda.max_memory_allocated(row.device) - before
    return peak
