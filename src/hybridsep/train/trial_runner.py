"""One trial in its folder: locked, trained from where it stands, committed as it goes, and how that ended."""

import contextlib
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path

from filelock import Timeout

from hybridsep.config.identity import differences, identity
from hybridsep.data.subset import HELD_OUT
from hybridsep.errors import TRACEBACK, RecordError, UserError
from hybridsep.runs import records
from hybridsep.runs.progress import Monitor, TrialMonitor
from hybridsep.runs.record import Record, State, Status
from hybridsep.runs.stop import FAIL_FAST, Stop
from hybridsep.train import checkpoint, precision
from hybridsep.train.graph import Gate, TrialStream
from hybridsep.train.prepare import PreparedRow
from hybridsep.train.run_writer import RunWriter, label
from hybridsep.train.step import DeviceData
from hybridsep.train.trial import Diverged, Trial

_said: set[str] = set()  # notices that this process has given
_saying = threading.Lock()


def existing_record(row: PreparedRow, trial: int) -> Record | None:
    """Return the record of an earlier start of this very trial, None when there was none. Raises RecordError."""
    folder = row.folder_of(trial)
    # Without a record and a checkpoint nothing was committed yet: a process was killed while it made the folder.
    if not any((folder / name).exists() for name in ("record.json", checkpoint.NAME, checkpoint.PREVIOUS)):
        return None
    try:
        record = records.load(folder)
        if record.status == State.FINISHED:
            records.read_predictions(folder)
    except RecordError as error:
        raise RecordError(f"{error}: copy it again, or remove the folder to train the trial anew") from None
    if record.identity != identity(row.config, trial):
        changed = differences(record.config, row.config)
        what = ", ".join(changed) or "another version of the configuration, or another path in data.source"
        if len(changed) == 1 and (before := record.settings.precision) != row.config.precision:
            raise RecordError(
                f"{folder} was begun with other arithmetic ({what}), as precision=auto chooses by the machine:"
                f" precision={before} goes on with it, study= or row= gives this one a name of its own"
            )
        raise RecordError(f"{folder} holds another run ({what}): give this one a name of its own with study= or row=")
    if record.dataset.sha256 != row.dataset.sha256:
        raise RecordError(f"{folder} was begun on other data than {row.dataset.title}: choose another study= or row=")
    return record


def has_ended(row: PreparedRow, trial: int, record: Record | None, monitor: Monitor) -> bool:
    """Return whether a trial has an end that a repetition would not change, and say so."""
    if record is None or record.status not in (State.FINISHED, State.DIVERGED):
        return False
    end = result_line(record) if record.status == State.FINISHED else f"diverged, {record.message}"
    monitor.end_trial(f"{label(row.folder_of(trial))}: already {end}; not trained again", trained=False)
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
        folder = self._row.folder_of(trial)
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
        row = self._row
        # Read again: another process may have brought the trial to its end, or on its way, since this row began.
        before = existing_record(row, trial)
        if has_ended(row, trial, before, self._monitor):
            return
        images = row.dataset_of(trial)
        folder.mkdir(parents=True, exist_ok=True)
        records.remove_leftovers(folder)
        (folder / TRACEBACK).unlink(missing_ok=True)
        writer = RunWriter(folder, row.config, trial, dataset=row.dataset, images=images, cost=row.cost, before=before)
        try:
            with contextlib.closing(writer):
                self._train(trial, label(folder), writer, self._data or row.on_device(images))
        except Diverged as error:
            self._end(folder, writer, State.DIVERGED, str(error))
        except Exception as error:
            # One trial's failure (memory, a full disk) must not take the study with it; a second start tries it again.
            kind = ""
            if not isinstance(error, UserError):
                kind = f"{type(error).__name__}: "
                with contextlib.suppress(OSError):
                    text = traceback.format_exc().encode(errors="backslashreplace")
                    records.write_atomically(folder / TRACEBACK, text)
            self._end(folder, writer, State.FAILED, kind + " ".join(str(error).split()))

    def _train(self, trial: int, name: str, writer: RunWriter, data: DeviceData) -> None:
        """Train from the checkpoint, if there is one, to the end or until asked to stop."""
        row = self._row
        saved, lines = writer.saved()
        for line in lines:
            self._monitor.say(line)

        def without_graph(reason: str) -> None:
            writer.without_graph(reason)
            self._monitor.say(f"{name}: its CUDA graph could not be captured ({reason}); going on without")

        made = TrialStream(row.device, cuda_graph=row.config.cuda_graph, gate=self._gate, on_failure=without_graph)
        with contextlib.closing(made) as stream, stream:
            state = Trial(row.config, trial, data=data, build=row.build, device=row.device, stream=stream)
            if saved is not None:
                state.load_state(saved)
            machine = precision.describe_machine(str(row.device), row.threads)
            if row.config.compile:
                machine = replace(machine, compiled=True)
            changed = writer.begin(state, machine=machine, trials_at_once=self._at_once, resumed=saved is not None)
            if changed:
                self._monitor.say(f"{name}: goes on with {changed}; the same bits as in one place are not promised")
            self._give_notices()
            bars = self._monitor.begin_trial(name, row.config.schedule.epochs, len(state.history), state.steps)
            with contextlib.closing(bars):
                done = self._train_epochs(state, name, writer, bars)
            if not done:
                return
            writer.finish(state)
        self._monitor.end_trial(f"{name}: {result_line(writer.record)}", trained=True)

    def _train_epochs(self, state: Trial, name: str, writer: RunWriter, bars: TrialMonitor) -> bool:
        """Train to the last epoch, committing on the way; return False when a stop request came first."""

        def after_step(done: int) -> bool:
            bars.step(done)
            return self._stop.due()

        committed = time.monotonic()
        while not state.finished:
            try:
                went_on = not self._stop.due() and state.train_epoch(after_step=after_step)
            except Diverged:
                writer.note_history(state)
                raise
            if not went_on:
                writer.interrupt(state)
                self._stop_is_said = True
                step = f", step {state.steps_done}" if state.steps_done else ""
                self._monitor.say(
                    f"{name}: stopped after epoch {len(state.history)}{step} ({self._stop.reason});"
                    " the same command goes on"
                )
                return False
            if state.finished or time.monotonic() - committed >= self._row.commit_seconds:
                writer.commit(state)
                committed = time.monotonic()
            bars.end_epoch(state.history[-1])
        return True

    def _give_notices(self) -> None:
        """Say what is worth knowing about this machine, each line once in a process, now that training begins."""
        for line in self._row.notes:
            with _saying:
                if line in _said:
                    continue
                _said.add(line)
            self._monitor.say(line)

    def _end(self, folder: Path, writer: RunWriter, status: Status, message: str) -> None:
        self._monitor.end_trial(f"{label(folder)}: {status}, {message}", trained=False)
        if status == State.FAILED and self._row.config.fail_fast:
            self._stop.request(FAIL_FAST)
        try:
            writer.end(status, message)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}, not even how {label(folder)} ended") from None


def result_line(record: Record) -> str:
    """Return the result of a finished trial as one line for people.

    Images/s are what the report's tables show, the record's `train_images_per_second` (`record.Timings`).
    """
    result, timings, subset = record.result, record.timings, record.settings.evaluation.subset
    assert result is not None and timings.train_images_per_second is not None  # as of every finished record
    by_subset = {"all": " of all test images", HELD_OUT: " of its held-out images"}
    images = by_subset.get(subset, f" ({result.test_error_all:.2f} % of all test images)")
    beside = f" with {timings.at_once} trials at once" if timings.at_once > 1 else ""
    return (
        f"finished, {result.epochs} epochs, test error {result.test_error:.2f} %{images}, "
        f"{timings.train_images_per_second:,.0f} images/s{beside}"
    )
