"""The trials of one row, one after another or several at once: finished ones are skipped, begun ones go on."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from hybridsep.config import Config
from hybridsep.runs import asked
from hybridsep.runs.progress import Monitor
from hybridsep.runs.records import study_folder
from hybridsep.runs.stop import Stop
from hybridsep.train import compiling
from hybridsep.train.concurrent import run_concurrently, trials_that_fit
from hybridsep.train.graph import TrialStream, new_process_needed
from hybridsep.train.prepare import PreparedRow, prepare
from hybridsep.train.run_writer import label
from hybridsep.train.step import DeviceData
from hybridsep.train.trial import Trial
from hybridsep.train.trial_runner import TrialResult, TrialRunner, already_ended, existing_record, folder_of


@dataclass
class RowResult:
    """How the trials of a row ended. `errors`: lines that say what is to be mended, such as a folder not writable."""

    finished: int = 0
    skipped: int = 0
    busy: int = 0
    diverged: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    stopped: bool = False

    @classmethod
    def fold(cls, results: Iterable[TrialResult]) -> "RowResult":
        """Count the results of the trials."""
        by_status: dict[str, list[TrialResult]] = {}
        for result in results:
            by_status.setdefault(result.status, []).append(result)
        count = {status: len(found) for status, found in by_status.items()}
        return cls(
            finished=count.get("finished", 0),
            skipped=count.get("skipped", 0),
            busy=count.get("busy", 0),
            diverged=[result.label for result in by_status.get("diverged", [])],
            failed=[result.label for result in by_status.get("failed", [])],
            errors=list(dict.fromkeys(result.message for result in by_status.get("refused", []))),
            stopped="interrupted" in by_status or "not begun" in by_status,
        )


def train_row(config: Config, trials: Iterable[int], *, monitor: Monitor, stop: Stop) -> RowResult:
    """Bring every trial of a configuration to its end, or as far as `stop` lets it.

    Raises ConfigError, DataError and RecordError, before anything is written, for a configuration or data that are
    wrong, and for a trial's folder that holds another configuration or other data.
    """
    return train_prepared(prepare(config), trials, monitor=monitor, stop=stop)


def train_prepared(row: PreparedRow, trials: Iterable[int], *, monitor: Monitor, stop: Stop) -> RowResult:
    """Do what `train_row` says, once the configuration is resolved and checked."""
    # All records are read before the first trial is touched, so that a wrong one stops the command.
    records = {trial: existing_record(row, trial) for trial in trials}
    results = {trial: already_ended(row, trial, record, monitor) for trial, record in records.items()}
    waiting = [trial for trial, result in results.items() if result is None]
    if waiting and (reason := _write_down(row, list(records))):
        results |= {trial: TrialResult(label(folder_of(row, trial)), "refused", reason) for trial in waiting}
    elif waiting:
        if row.config.compile:
            compiling.begin_row()
        data = _on_device(row)
        at_once = _trials_at_once(row, data, waiting, monitor)
        runner = TrialRunner(row, data, at_once=at_once, monitor=monitor, stop=stop)
        results |= zip(waiting, run_concurrently(waiting, runner.run, at_once=at_once), strict=True)
    if reason := new_process_needed():
        stop.request(reason)  # what is left of the command; this row is done
    ended = [result for result in results.values() if result is not None]
    statuses = [result.status for result in ended]
    if "not begun" in statuses and "interrupted" not in statuses:
        first = ended[statuses.index("not begun")].label
        monitor.say(f"{first}: not begun ({stop.reason}); the same command goes on")
    return RowResult.fold(ended)


def _write_down(row: PreparedRow, trials: list[int]) -> str:
    """Write down that the trials were asked for, for `status`; return why it could not be."""
    results = row.config.results
    try:
        asked.extend(study_folder(Path(results), row.config.study), {row.config.row: trials})
    except OSError as error:
        return f"results={results} cannot be written: {error}"
    return ""


def _on_device(row: PreparedRow) -> DeviceData:
    padding, data = row.config.augmentation.padding, row.config.data
    loaded = DeviceData.load(row.dataset, row.device, padding=padding, mean=data.mean, std=data.std)
    if row.device.type == "cuda":
        # The data came through the default stream; every trial has one of its own.
        torch.cuda.synchronize(row.device)
    return loaded


def _trials_at_once(row: PreparedRow, data: DeviceData, waiting: list[int], monitor: Monitor) -> int:
    """Return `trials_at_once`; where it is not set, as many as fit into a GPU's memory, and one on a CPU."""
    given = row.config.trials_at_once
    one_at_a_time = row.config.compile and not row.config.cuda_graph
    if given is not None or row.device.type != "cuda" or len(waiting) == 1 or one_at_a_time:
        return given or 1
    trial_bytes = _peak_bytes(row, data, waiting[0])
    torch.cuda.empty_cache()
    free_bytes, _ = torch.cuda.mem_get_info(row.device)
    at_once = trials_that_fit(len(waiting), free_bytes=free_bytes, trial_bytes=trial_bytes)
    monitor.say(
        f"{row.config.row}: {at_once} of {len(waiting)} trials side by side "
        f"({trial_bytes / 1e9:.1f} GB each, {free_bytes / 1e9:.0f} GB free); set trials_at_once= for another number"
    )
    return at_once


def _peak_bytes(row: PreparedRow, data: DeviceData, trial: int) -> int:
    """Return what a trial takes on a GPU, measured by one that is made, does a step and an evaluation, and goes."""
    before, peak = torch.cuda.memory_allocated(row.device), 0
    with TrialStream(row.device, cuda_graph=False) as stream:
        sample = Trial(row.config, trial, data=data, build=row.build, device=row.device, stream=stream)
        # The step's memory belongs to its graph and the evaluation's to the allocator, so they add up.
        for work in sample.sample_work():
            torch.cuda.reset_peak_memory_stats(row.device)
            work()
            stream.wait()
            peak += torch.cuda.max_memory_allocated(row.device) - before
    return peak
