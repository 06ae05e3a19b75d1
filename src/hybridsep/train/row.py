"""The trials of one row, one after another or side by side: finished ones are skipped, begun ones go on."""

import contextlib
import math
import threading
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout

from hybridsep.config.identity import differences, flatten, identity
from hybridsep.data import Dataset
from hybridsep.errors import TRACEBACK, ConfigError, RecordError, UserError
from hybridsep.launch.progress import Monitor
from hybridsep.launch.stop import Stop
from hybridsep.networks.cost import Cost, cost_of
from hybridsep.runs import provenance, records
from hybridsep.train import build, checkpoint, precision
from hybridsep.train.concurrent import fitting, run_concurrently
from hybridsep.train.graph import Lane
from hybridsep.train.run_writer import RunWriter, label
from hybridsep.train.step import DeviceData
from hybridsep.train.trial import Diverged, Trial

_PAPER_SHARE = 0.6  # 6,000 of CIFAR-10's 10,000 test images


@dataclass
class RowResult:
    """How the trials of one or more rows ended."""

    finished: int = 0
    skipped: int = 0
    busy: int = 0
    diverged: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    stopped: bool = False


class Row:
    """The trials of one row of a table: one configuration, one dataset on the device, one network to build.

    Everything that can be wrong with the configuration or the data raises ConfigError or DataError here, before
    anything is written.
    """

    def __init__(self, config: dict[str, Any], *, monitor: Monitor, stop: Stop):
        self._monitor, self._stop = monitor, stop
        self.device = precision.resolve_device(config["device"])
        beside = config["trials_at_once"] or 1
        self._threads = precision.prepare(self.device, config["threads"], beside=beside)
        decided, note = precision.resolve_precision(config["precision"], self.device)
        if note:
            monitor.say(note)
        self._dataset = build.dataset(config)
        if config["evaluation"]["images"] is None:
            share = round(_PAPER_SHARE * len(self._dataset.test_images))
            config = {**config, "evaluation": {**config["evaluation"], "images": share}}
        self._check(config, self._dataset)
        side = config["augmentation"]["crop"] or self._dataset.test_images.shape[1]
        shape = {"height": side, "width": side}
        classes = len(self._dataset.classes)
        self.config = build.matched({**config, "precision": decided}, classes=classes, **shape)
        self._build = build.network_factory(self.config, classes=classes)
        self.cost: Cost = cost_of(self._build(), **shape)
        self._data: DeviceData | None = None
        self._at_once = beside
        self._count = threading.Lock()  # held while an outcome is counted

    @staticmethod
    def _check(config: dict[str, Any], dataset: Dataset) -> None:
        trained, tested = len(dataset.train_images), len(dataset.test_images)
        batch, images = config["schedule"]["batch_size"], config["evaluation"]["images"]
        for key, value in flatten(config).items():
            # A record holds the configuration, and JSON has no such numbers.
            for number in value if isinstance(value, list) else [value]:
                if isinstance(number, float) and not math.isfinite(number):
                    raise ConfigError(f"{key}={number} is not allowed: a finite number")
        if batch > trained:
            raise ConfigError(f"schedule.batch_size={batch} is not allowed: there are {trained} training images")
        if images > tested:
            raise ConfigError(f"evaluation.images={images} is not allowed: there are {tested} test images")

    def run(self, trials: list[int], outcome: RowResult) -> None:
        """Bring every trial to its end, or as far as `stop` lets it; add what happened to `outcome`.

        Raises RecordError, before anything is written, when a trial's folder holds another configuration or other data.
        """
        folders = {trial: self._folder(trial) for trial in trials}
        for trial, folder in folders.items():
            self._record(folder, trial)
        waiting = [trial for trial, folder in folders.items() if not self._ended(folder, trial, outcome)]
        if not waiting:
            return
        self._prepare(waiting)
        run_concurrently(waiting, lambda trial: self._run_one(trial, folders[trial], outcome), at_once=self._at_once)

    def _prepare(self, waiting: list[int]) -> None:
        """Load the data to the device, and choose how many trials run at once if the configuration does not say."""
        data = self.config["data"]
        padding = self.config["augmentation"]["padding"]
        self._data = DeviceData.load(self._dataset, self.device, padding=padding, mean=data["mean"], std=data["std"])
        if self.device.type == "cuda":
            if self.config["trials_at_once"] is None and len(waiting) > 1:
                self._at_once = self._fitting(waiting)
            # The data came through the default stream; every trial has one of its own.
            torch.cuda.synchronize(self.device)

    def _fitting(self, waiting: list[int]) -> int:
        """Return how many of the trials fit into the GPU's memory, by a step and an evaluation of one, thrown away."""
        trial_bytes, before = 0, torch.cuda.memory_allocated(self.device)
        with Lane(self.device, cuda_graph=False) as lane:
            # The step's memory belongs to its graph and the evaluation's to the allocator, so they add up.
            for rehearse in self._trial(waiting[0], lane).rehearsals():
                torch.cuda.reset_peak_memory_stats(self.device)
                rehearse()
                lane.wait()
                trial_bytes += torch.cuda.max_memory_allocated(self.device) - before
        torch.cuda.empty_cache()
        free_bytes, _ = torch.cuda.mem_get_info(self.device)
        at_once = fitting(len(waiting), free_bytes=free_bytes, trial_bytes=trial_bytes)
        self._monitor.say(
            f"{self.config['row']}: {at_once} of {len(waiting)} trials side by side "
            f"({trial_bytes / 1e9:.1f} GB each, {free_bytes / 1e9:.0f} GB free); set trials_at_once= for another number"
        )
        return at_once

    def _run_one(self, trial: int, folder: Path, outcome: RowResult) -> None:
        if self._stop.requested():
            with self._count:
                if not outcome.stopped:
                    line = f"{label(folder)}: not begun ({self._stop.reason}); the same command goes on"
                    self._monitor.say(line)
                outcome.stopped = True
            return
        try:
            with records.lock(folder).acquire(blocking=False):
                self._run_locked(trial, folder, outcome)
        except OSError as error:
            # filelock's Timeout is an OSError too.
            if not isinstance(error, Timeout):
                raise RecordError(f"results={self.config['results']} cannot be written: {error}") from None
            with self._count:
                outcome.busy += 1
            self._monitor.end_trial(f"{label(folder)}: another process is training it", trained=False)

    def _folder(self, trial: int) -> Path:
        return records.run_folder(Path(self.config["results"]), self.config["study"], self.config["row"], trial)

    def _record(self, folder: Path, trial: int) -> dict[str, Any] | None:
        """Return the record of an earlier start of this very run, None when there was none."""
        # Without a record and a checkpoint nothing was committed yet: a process was killed while it made the folder.
        if not any((folder / name).exists() for name in ("record.json", checkpoint.NAME, checkpoint.PREVIOUS)):
            return None
        try:
            record = records.read(folder)
            if record["status"] == "finished":
                records.read_predictions(folder)
        except RecordError as error:
            raise RecordError(f"{error}: copy it again, or remove the folder to train the trial anew") from None
        if record["identity"] != identity(self.config, trial):
            what = ", ".join(differences(record["config"], self.config)) or "another version of the configuration"
            raise RecordError(
                f"{folder} holds another run ({what}): give this one a name of its own with study= or row="
            )
        if record["dataset"]["sha256"] != self._dataset.sha256:
            raise RecordError(
                f"{folder} was begun on other data than {self._dataset.title}: choose another study= or row="
            )
        return record

    def _ended(self, folder: Path, trial: int, outcome: RowResult) -> bool:
        """Return whether the trial has come to an end that a repetition would not change; if so, say and count it."""
        record = self._record(folder, trial)
        if record is None or record["status"] not in ("finished", "diverged"):
            return False
        if record["status"] == "finished":
            what = f"already {_result(record)}"
        else:
            what = f"already diverged, {record['message']}"
        with self._count:
            if record["status"] == "finished":
                outcome.skipped += 1
            else:
                outcome.diverged.append(label(folder))
        self._monitor.end_trial(f"{label(folder)}: {what}; not trained again", trained=False)
        return True

    def _run_locked(self, trial: int, folder: Path, outcome: RowResult) -> None:
        # Another process may have brought the trial to its end since this row began.
        if self._ended(folder, trial, outcome):
            return
        before = self._record(folder, trial)
        folder.mkdir(parents=True, exist_ok=True)
        records.remove_leftovers(folder)
        (folder / TRACEBACK).unlink(missing_ok=True)
        journal = RunWriter(folder, self.config, trial, dataset=self._dataset, cost=self.cost, before=before)
        try:
            finished = self._train(trial, folder, journal)
        except Diverged as error:
            with self._count:
                outcome.diverged.append(label(folder))
            self._end(folder, journal, "diverged", str(error))
        except Exception as error:
            # One trial's failure (memory, a full disk) must not take the study with it; a second start tries it again.
            with self._count:
                outcome.failed.append(label(folder))
            kind = ""
            if not isinstance(error, UserError):
                kind = f"{type(error).__name__}: "
                with contextlib.suppress(OSError):
                    text = traceback.format_exc().encode(errors="backslashreplace")
                    records.write_atomically(folder / TRACEBACK, text)
            self._end(folder, journal, "failed", kind + " ".join(str(error).split()))
        else:
            with self._count:
                outcome.finished += finished
                outcome.stopped |= not finished

    def _train(self, trial: int, folder: Path, journal: RunWriter) -> bool:
        """Train from the checkpoint, if there is one, to the end (True) or until asked to stop (False)."""
        saved, lines = journal.saved()
        for line in lines:
            self._monitor.say(line)
        with Lane(self.device, cuda_graph=self.config["cuda_graph"]) as lane:
            state = self._trial(trial, lane)
            if saved is not None:
                state.load_state(saved)
            return self._train_to_end(state, folder, journal, resumed=saved is not None)

    def _trial(self, trial: int, lane: Lane) -> Trial:
        return Trial(self.config, trial, data=self._data, build=self._build, device=self.device, lane=lane)

    def _train_to_end(self, state: Trial, folder: Path, journal: RunWriter, *, resumed: bool) -> bool:
        machine = provenance.machine(str(self.device), self._threads)
        name, epochs = label(folder), self.config["schedule"]["epochs"]
        try:
            changed = journal.begin(state, machine=machine, trials_at_once=self._at_once, resumed=resumed)
            if changed:
                self._monitor.say(f"{name}: goes on with {changed}; the same bits as in one place are not promised")
            progress = self._monitor.begin_trial(name, epochs, len(state.history), state.steps)

            def after_step(done: int) -> bool:
                progress.step(done)
                return self._stop.due()

            try:
                while not state.finished:
                    if self._stop.due() or not state.train_epoch(after_step=after_step):
                        journal.interrupt(state)
                        place = f"epoch {len(state.history)}"
                        place += f", step {state.steps_done}" if state.steps_done else ""
                        self._monitor.say(
                            f"{name}: stopped after {place} ({self._stop.reason}); the same command goes on"
                        )
                        return False
                    journal.commit_epoch(state)
                    progress.end_epoch(state.history[-1])
            finally:
                progress.close()
        finally:
            journal.close()
        journal.finish(state)
        self._monitor.end_trial(f"{name}: {_result(journal.record)}", trained=True)
        return True

    def _end(self, folder: Path, journal: RunWriter, status: str, message: str) -> None:
        self._monitor.end_trial(f"{label(folder)}: {status}, {message}", trained=False)
        try:
            journal.end(status, message)
        except OSError as error:
            self._monitor.say(f"{folder}: its record could not be written either ({error})")


def _result(record: dict[str, Any]) -> str:
    result = record["result"]
    speed = record["timings"]["train_images_per_second"]
    return (
        f"finished, {result['epochs']} epochs, test error {result['test_error']:.2f} % "
        f"({result['test_error_all']:.2f} % of all test images), {speed:,.0f} images/s"
    )
