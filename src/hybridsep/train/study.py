"""The trials of one row, one after another: finished ones are skipped, begun ones go on, every epoch is committed."""

import datetime
import math
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import Timeout

from hybridsep import build, provenance, records
from hybridsep.data import Dataset
from hybridsep.data.subset import evaluation_subset
from hybridsep.errors import ConfigError, RecordError, UserError
from hybridsep.identity import differences, flatten, identity, science, without_places
from hybridsep.modules.cost import Cost
from hybridsep.monitor import Curves, Monitor
from hybridsep.train import checkpoint, precision
from hybridsep.train.step import DeviceData
from hybridsep.train.stop import Stop
from hybridsep.train.trial import Diverged, Trial

_PAPER_SHARE = 0.6  # 6,000 of CIFAR-10's 10,000 test images


@dataclass
class Outcome:
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
        self._threads = precision.prepare(self.device, config["threads"])
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
        self.cost: Cost = self._build().cost(**shape)
        self._data: DeviceData | None = None

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

    def run(self, trials: list[int], outcome: Outcome) -> None:
        """Bring every trial to its end, or as far as `stop` lets it; add what happened to `outcome`.

        Raises RecordError, before anything is written, when a trial's folder holds another configuration or other data.
        """
        folders = {trial: self._folder(trial) for trial in trials}
        for trial, folder in folders.items():
            self._record(folder, trial)
        for trial, folder in folders.items():
            if self._stop.requested():
                if not outcome.stopped:
                    line = f"{_label(folder)}: not begun ({self._stop.reason}); the same command goes on"
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
                outcome.busy += 1
                self._monitor.end_trial(f"{_label(folder)}: another process is training it", trained=False)

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

    def _run_locked(self, trial: int, folder: Path, outcome: Outcome) -> None:
        record = self._record(folder, trial)
        label = _label(folder)
        if record is not None and record["status"] == "finished":
            outcome.skipped += 1
            self._monitor.end_trial(f"{label}: already {_result(record)}; not trained again", trained=False)
            return
        if record is not None and record["status"] == "diverged":
            outcome.diverged.append(label)
            self._monitor.end_trial(f"{label}: already diverged, {record['message']}; not trained again", trained=False)
            return
        folder.mkdir(parents=True, exist_ok=True)
        records.remove_leftovers(folder)
        before, record = record, self._new_record(trial)
        if before is not None:
            record |= {key: before[key] for key in ("started", "timings")}
        try:
            self._train(trial, folder, record, before)
        except Diverged as error:
            outcome.diverged.append(label)
            self._end(folder, record, "diverged", str(error))
        except Exception as error:
            # One trial's failure (memory, a full disk) must not take the study with it; a second start tries it again.
            outcome.failed.append(label)
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            self._end(folder, record, "failed", kind + " ".join(str(error).split()))
        else:
            outcome.finished += record["status"] == "finished"
            outcome.stopped |= record["status"] == "interrupted"

    def _new_record(self, trial: int) -> dict[str, Any]:
        return {
            "identity": identity(self.config, trial),
            "status": "running",
            "message": "",
            "study": self.config["study"],
            "row": self.config["row"],
            "trial": trial,
            "config": {**without_places(self.config), "trial": trial},
            "dataset": self._dataset.identity(),
            "model": {"params": self.cost.params, "macs": self.cost.macs},
            "result": None,
            "timings": {"seconds": 0.0, "train_images_per_second": None},
            "started": _now(),
        }

    def _train(self, trial: int, folder: Path, record: dict[str, Any], before: dict[str, Any] | None) -> None:
        """Train from the checkpoint, if there is one, to the end or until asked to stop; keep `record` up to date.

        `before` is the record of the last start of this trial.
        """
        label = _label(folder)
        saved, complaints = checkpoint.load(folder, identity=record["identity"])
        for complaint in complaints:
            self._monitor.say(f"{complaint}; going on from the checkpoint before it")
        if saved is None and before is not None and before["timings"].get("seconds"):
            self._monitor.say(f"{label}: its checkpoint is gone, so it is trained anew from the first epoch")
        if self._data is None:
            data = self.config["data"]
            padding = self.config["augmentation"]["padding"]
            self._data = DeviceData.load(
                self._dataset, self.device, padding=padding, mean=data["mean"], std=data["std"]
            )
        state = Trial(self.config, trial, data=self._data, build=self._build, device=self.device)
        if saved is not None:
            state.load_state(saved)
        record |= {
            "versions": provenance.versions(),
            "machine": provenance.machine(str(self.device), self._threads),
            "git": provenance.git_state(),
        }
        if saved is not None and before is not None and (changed := _changes(before, record)):
            self._monitor.say(f"{label}: goes on with {changed}; the same bits as in one place are not promised")
        self._commit(folder, record, state, "running")
        curves = Curves(folder / "tensorboard", state.history, self._hyperparameters(trial))
        self._monitor.begin_trial(label, self.config["schedule"]["epochs"], len(state.history), state.steps)
        try:
            while not state.finished:
                if self._stop.due() or not state.train_epoch(after_step=self._after_step):
                    checkpoint.save(folder, state.state(), identity=record["identity"])
                    self._commit(folder, record, state, "interrupted")
                    place = f"epoch {len(state.history)}" + (f", step {state.steps_done}" if state.steps_done else "")
                    self._monitor.say(f"{label}: stopped after {place} ({self._stop.reason}); the same command goes on")
                    return
                checkpoint.save(folder, state.state(), identity=record["identity"])
                self._commit(folder, record, state, "running")
                curves.add(state.history[-1])
                self._monitor.end_epoch(state.history[-1])
        finally:
            curves.close()
        logits = state.logits()
        records.write_atomically(
            folder / "predictions.npz", records.predictions_bytes(logits, self._dataset.test_labels)
        )
        record["result"] = self._summary(trial, state, logits)
        self._commit(folder, record, state, "finished")
        self._monitor.end_trial(f"{label}: {_result(record)}", trained=True)

    def _after_step(self, done: int) -> bool:
        self._monitor.step(done)
        return self._stop.due()

    def _commit(self, folder: Path, record: dict[str, Any], state: Trial, status: str) -> None:
        """Write history and record; the checkpoint, written before, is what counts after a kill."""
        if state.history:
            records.write_atomically(folder / "history.csv", records.history_bytes(state.history))
            record["timings"] = {
                "seconds": sum(row["seconds"] for row in state.history),
                "train_images_per_second": statistics.median(row["images_per_second"] for row in state.history),
            }
        record |= {"status": status, "message": "", "updated": _now()}
        records.write(folder, record)

    def _end(self, folder: Path, record: dict[str, Any], status: str, message: str) -> None:
        self._monitor.end_trial(f"{_label(folder)}: {status}, {message}", trained=False)
        defaults = {"versions": provenance.versions(), "machine": {}, "git": provenance.git_state()}
        # A record names no place of this machine, and messages of the system do.
        message = message.replace(f"{Path(self.config['results'])}{os.sep}", "")
        ended = {"status": status, "message": message, "result": None, "updated": _now()}
        try:
            records.write(folder, {**defaults, **record, **ended})
        except OSError as error:
            self._monitor.say(f"{folder}: its record could not be written either ({error})")

    def _summary(self, trial: int, state: Trial, logits: np.ndarray) -> dict[str, Any]:
        labels = self._dataset.test_labels
        wrong = logits.argmax(1) != labels
        evaluation = self.config["evaluation"]
        subset = evaluation_subset(
            mode=evaluation["subset"],
            images=evaluation["images"],
            available=len(labels),
            study_seed=self.config["seed"],
            trial=trial,
        )
        best = min(state.history, key=lambda row: row["test_error"])
        return {
            "epochs": len(state.history),
            "test_error": 100.0 * float(wrong[subset].mean()),
            "test_error_all": 100.0 * float(wrong.mean()),
            "best_epoch": best["epoch"],
            "best_test_error_all": best["test_error"],
        }

    def _hyperparameters(self, trial: int) -> dict[str, Any]:
        return {"row": self.config["row"], "trial": trial, **flatten(science(self.config))}


def _label(folder: Path) -> str:
    return f"{folder.parts[-2]} {folder.parts[-1]}"


def _changes(before: dict[str, Any], record: dict[str, Any]) -> str:
    """Return in which versions and parts of the machine two records differ, "" when in none."""
    was, now = ({**one["versions"], **one["machine"]} for one in (before, record))
    return ", ".join(f"{key} {was[key]} -> {now.get(key)}" for key in sorted(was) if was[key] != now.get(key))


def _result(record: dict[str, Any]) -> str:
    result = record["result"]
    speed = record["timings"]["train_images_per_second"]
    return (
        f"finished, {result['epochs']} epochs, test error {result['test_error']:.2f} % "
        f"({result['test_error_all']:.2f} % of all test images), {speed:,.0f} images/s"
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
