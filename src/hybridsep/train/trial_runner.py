"""One trial in its folder: locked, trained from where it stands, committed as it goes, and how that ended."""

import contextlib
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout

from hybridsep.config.identity import differences, identity
from hybridsep.data import Dataset
from hybridsep.data.subset import HELD_OUT
from hybridsep.errors import TRACEBACK, RecordError, UserError
from hybridsep.runs import provenance, records
from hybridsep.runs.progress import Monitor
from hybridsep.runs.stop import FAIL_FAST, Stop
from hybridsep.train import checkpoint
from hybridsep.train.graph import Gate, TrialStream
from hybridsep.train.prepare import PreparedRow
from hybridsep.train.run_writer import RunWriter, label
from hybridsep.train.step import DeviceData
from hybridsep.train.trial import Diverged, Trial

_said: set[str] = set()  # notices that this process has given
_saying = threading.Lock()


def folder_of(row: PreparedRow, trial: int) -> Path:
    """Return the folder of a trial."""
    return records.run_folder(Path(row.config.results), row.config.study, row.config.row, trial)


def on_device(row: PreparedRow, dataset: Dataset) -> DeviceData:
    """Copy images to the row's device."""
    padding, data = row.config.augmentation.padding, row.config.data
    loaded = DeviceData.load(dataset, row.device, padding=padding, mean=data.mean, std=data.std)
    if row.device.type == "cuda":
        # The data came through the default stream; every trial has one of its own.
        torch.cuda.synchronize(row.device)
    return loaded


def existing_record(row: PreparedRow, trial: int) -> records.Record | None:
    """Return the record of an earlier start of this very trial, None when there was none. Raises RecordError."""
    folder = folder_of(row, trial)
    # Without a record and a checkpoint nothing was committed yet: a process was killed while it made the folder.
    if not any((folder / name).exists() for name in ("record.json", checkpoint.NAME, checkpoint.PREVIOUS)):
        return None
    try:
        record = records.read(folder)
        if record["status"] == "finished":
            records.read_predictions(folder)
    except RecordError as error:
        raise RecordError(f"{error}: copy it again, or remove the folder to train the trial anew") from None
    if record["identity"] != identity(row.config, trial):
        before = record["config"]
        changed = differences(before, row.config)
        what = ", ".join(changed) or "another version of the configuration"
        if len(changed) == 1 and before["precision"] != row.config.precision:
            raise RecordError(
                f"{folder} was begun with other arithmetic ({what}), as precision=auto chooses by the machine:"
                f" precision={before['precision']} goes on with it, study= or row= gives this one a name of its own"
            )
        raise RecordError(f"{folder} holds another run ({what}): give this one a name of its own with study= or row=")
    if record["dataset"]["sha256"] != row.dataset.sha256:
        raise RecordError(f"{folder} was begun on other data than {row.dataset.title}: choose another study= or row=")
    return record


def has_ended(row: PreparedRow, trial: int, record: records.Record | None, monitor: Monitor) -> bool:
    """Return whether a trial has an end that a repetition would not change, and say so."""
    if record is None or record["status"] not in ("finished", "diverged"):
        return False
    what = result_line(record) if record["status"] == "finished" else f"diverged, {record['message']}"
    monitor.end_trial(f"{label(folder_of(row, trial))}: already {what}; not trained again", trained=False)
    return True


class TrialRunner:
    """Runs trials of a row; `run` may be called by several threads at once.

    `data` are the images that all trials share, on the device; None where each has its own.
    """

    def __init__(self, row: PreparedRow, data: DeviceData | None, *, at_once: int, monitor: Monitor, stop: Stop):
        self._row, self._data, self._at_once = row, data, at_once
        self._monitor, self._stop = monitor, stop
        self._gate = Gate()
        self._saying, self._stop_is_said = threading.Lock(), False

    def run(self, trial: int) -> str:
        """Bring a trial to its end, or as far as a stop request lets it, unless another process has it.

        How it ended is in its record. Returns a line about what is to be mended when there cannot be one, else "".
        """
        folder = folder_of(self._row, trial)
        if self._stop.reason:
            with self._saying:
                if not self._stop_is_said:
                    self._monitor.say(f"{label(folder)}: not begun ({self._stop.reason}); the same command goes on")
                self._stop_is_said = True
            return ""
        try:
            with records.lock(folder).acquire(blocking=False):
                self._run_locked(trial, folder)
            return ""
        except RecordError as error:
            return str(error)
        except Timeout:  # before OSError, which it is
            self._monitor.end_trial(f"{label(folder)}: another process is training it", trained=False)
            return ""
        except OSError as error:
            return f"results={self._row.config.results} cannot be written: {error}"

    def _run_locked(self, trial: int, folder: Path) -> None:
        # Read again: another process may have brought the trial to its end, or on its way, since this row began.
        before = existing_record(self._row, trial)
        if has_ended(self._row, trial, before, self._monitor):
            return
        images = self._row.dataset_of(trial)
        folder.mkdir(parents=True, exist_ok=True)
        records.remove_leftovers(folder)
        (folder / TRACEBACK).unlink(missing_ok=True)
        row = self._row
        writer = RunWriter(folder, row.config, trial, dataset=row.dataset, images=images, cost=row.cost, before=before)
        try:
            self._train(trial, folder, writer, self._data or on_device(row, images))
        except Diverged as error:
            self._end(folder, writer, "diverged", str(error))
        except Exception as error:
            # One trial's failure (memory, a full disk) must not take the study with it; a second start tries it again.
            kind = ""
            if not isinstance(error, UserError):
                kind = f"{type(error).__name__}: "
                with contextlib.suppress(OSError):
                    text = traceback.format_exc().encode(errors="backslashreplace")
                    records.write_atomically(folder / TRACEBACK, text)
            self._end(folder, writer, "failed", kind + " ".join(str(error).split()))

    def _train(self, trial: int, folder: Path, writer: RunWriter, data: DeviceData) -> None:
        """Train from the checkpoint, if there is one, to the end or until asked to stop."""
        saved, lines = writer.saved()
        for line in lines:
            self._monitor.say(line)
        row = self._row

        def without_graph(reason: str) -> None:
            writer.record["machine"] = {**writer.record["machine"], "cuda_graph": f"none: {reason}"}
            self._monitor.say(f"{label(folder)}: its CUDA graph could not be captured ({reason}); going on without")

        made = TrialStream(row.device, cuda_graph=row.config.cuda_graph, gate=self._gate, on_failure=without_graph)
        with contextlib.closing(made) as stream, stream:
            state = Trial(row.config, trial, data=data, build=row.build, device=row.device, stream=stream)
            if saved is not None:
                state.load_state(saved)
            self._train_to_end(state, folder, writer, resumed=saved is not None)

    def _train_to_end(self, state: Trial, folder: Path, writer: RunWriter, *, resumed: bool) -> None:
        machine = provenance.machine(str(self._row.device), self._row.threads)
        if self._row.config.compile:
            machine["compiled"] = True
        name, epochs = label(folder), self._row.config.schedule.epochs
        try:
            changed = writer.begin(state, machine=machine, trials_at_once=self._at_once, resumed=resumed)
            if changed:
                self._monitor.say(f"{name}: goes on with {changed}; the same bits as in one place are not promised")
            self._give_notices()
            progress = self._monitor.begin_trial(name, epochs, len(state.history), state.steps)

            def after_step(done: int) -> bool:
                progress.step(done)
                return self._stop.due()

            committed = time.monotonic()
            try:
                while not state.finished:
                    if self._stop.due() or not state.train_epoch(after_step=after_step):
                        writer.interrupt(state)
                        self._stop_is_said = True
                        place = f"epoch {len(state.history)}"
                        place += f", step {state.steps_done}" if state.steps_done else ""
                        self._monitor.say(
                            f"{name}: stopped after {place} ({self._stop.reason}); the same command goes on"
                        )
                        return
                    if state.finished or time.monotonic() - committed >= self._row.commit_seconds:
                        writer.commit(state)
                        committed = time.monotonic()
                    progress.end_epoch(state.history[-1])
            except Diverged:
                writer.note_history(state)
                raise
            finally:
                progress.close()
            writer.finish(state)
        finally:
            writer.close()
        self._monitor.end_trial(f"{name}: {result_line(writer.record)}", trained=True)

    def _give_notices(self) -> None:
        """Say what is worth knowing about this machine, each line once in a process, now that training begins."""
        row = self._row
        for line in (*row.notes, *other_threads(row)):
            with _saying:
                if line in _said:
                    continue
                _said.add(line)
            self._monitor.say(line)

    def _end(self, folder: Path, writer: RunWriter, status: str, message: str) -> None:
        self._monitor.end_trial(f"{label(folder)}: {status}, {message}", trained=False)
        if status == "failed" and self._row.config.fail_fast:
            self._stop.request(FAIL_FAST)
        try:
            writer.end(status, message)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}, not even how {label(folder)} ended") from None


def other_threads(row: PreparedRow) -> list[str]:
    """Return a line when the study's finished trials were trained on a CPU with other numbers of threads than ours."""
    if row.device.type != "cpu":
        return []
    found = set()
    for folder in folder_of(row, 0).parents[1].glob("*/trial-*"):
        # What is wrong with a neighbour is the report's to say.
        with contextlib.suppress(RecordError):
            record = records.read(folder)
            if record["status"] == "finished" and record["machine"].get("device") == "cpu":
                found.add(record["machine"].get("threads"))
    numbers = sorted(number for number in found - {row.threads} if isinstance(number, int))
    if not numbers:
        return []
    others = " and ".join(map(str, numbers))
    return [
        f"threads: {row.threads}, but finished trials of study {row.config.study} had {others}: sums are ordered"
        f" otherwise, so the bits can differ; threads={numbers[0]} goes on as they did"
    ]


def result_line(record: Mapping[str, Any]) -> str:
    """Return the result of a finished trial as one line for people.

    Images/s are what the report's tables show, the record's `train_images_per_second` (`hybridsep.runs.record.Timings`).
    """
    result, timings = record["result"], record["timings"]
    error, everything = f"{result['test_error']:.2f} %", f"{result['test_error_all']:.2f} %"
    subset = record["config"]["evaluation"]["subset"]
    of = {"all": " of all test images", HELD_OUT: " of its held-out images"}.get(
        subset, f" ({everything} of all test images)"
    )
    at_once = timings.get("trials_at_once") or 1
    beside = f" with {at_once} trials at once" if at_once > 1 else ""
    speed = f"{timings['train_images_per_second']:,.0f} images/s{beside}"
    return f"finished, {result['epochs']} epochs, test error {error}{of}, {speed}"
