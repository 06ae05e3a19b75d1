"""What the folder of one trial says: its record, history, checkpoint, curves and predictions, and in which order."""

import datetime
import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from hybridsep.config.identity import flatten, identity, science, without_places
from hybridsep.data import Dataset
from hybridsep.data.subset import evaluation_subset
from hybridsep.networks.cost import Cost
from hybridsep.runs import provenance, records
from hybridsep.train import checkpoint
from hybridsep.train.tensorboard import Curves
from hybridsep.train.trial import Trial


def label(folder: Path) -> str:
    """Return the name by which people are told of the trial in `folder`, such as `resnext trial-03`."""
    return f"{folder.parts[-2]} {folder.parts[-1]}"


class RunWriter:
    """Keeps one trial's folder, whose lock the caller holds. `before` is the record of the trial's last start, or None.

    The checkpoint of an epoch is written first: it is what counts after a kill, and all else is made again from it.
    Every method that writes raises OSError when the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        trial: int,
        *,
        dataset: Dataset,
        cost: Cost,
        before: records.Record | None,
    ):
        self._folder, self._config, self._trial, self._dataset = folder, config, trial, dataset
        self._before, self._curves = before, None
        self._at_once = 1
        self.record: dict[str, Any] = {
            "identity": identity(config, trial),
            "status": "running",
            "message": "",
            "study": config["study"],
            "row": config["row"],
            "trial": trial,
            "config": {**without_places(config), "trial": trial},
            "dataset": dataset.identity(),
            "model": {"params": cost.params, "macs": cost.macs},
            "result": None,
            "timings": {"seconds": 0.0, "train_images_per_second": None},
            "started": _now(),
        }
        if before is not None:
            self.record |= {key: before[key] for key in ("started", "timings")}

    def saved(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Return the state to go on from, None for a new start, and lines worth saying. Raises as `checkpoint.load`."""
        saved, complaints = checkpoint.load(self._folder, identity=self.record["identity"])
        lines = [f"{complaint}; going on from the checkpoint before it" for complaint in complaints]
        if saved is None and self._before is not None and self._before["timings"].get("seconds"):
            lines.append(f"{label(self._folder)}: its checkpoint is gone, so it is trained anew from the first epoch")
        return saved, lines

    def begin(self, state: Trial, *, machine: dict[str, Any], trials_at_once: int, resumed: bool) -> str:
        """Record the start of training; return in what this place differs from that of the start before, "" if none."""
        self._at_once = trials_at_once
        self.record |= {"versions": provenance.versions(), "machine": machine, "git": self._origin(resumed)}
        changed = _changes(self._before, self.record) if resumed and self._before is not None else ""
        self._write(state, "running")
        hyperparameters = {"row": self._config["row"], "trial": self._trial, **flatten(science(self._config))}
        self._curves = Curves(self._folder / "tensorboard", state.history, hyperparameters)
        return changed

    def _origin(self, resumed: bool) -> dict[str, Any]:
        """Return commit and state of the code; of a trial that goes on also the earlier commits that trained a part."""
        git = provenance.git_state()
        before = self._before["git"] if resumed and self._before is not None else git
        earlier = {*before.get("earlier", ()), before.get("commit")} - {git["commit"], None}
        return git | ({"earlier": sorted(earlier)} if earlier else {})

    def commit_epoch(self, state: Trial) -> None:
        """Make the epoch just done durable: checkpoint, history and record, curves."""
        checkpoint.save(self._folder, state.state(), identity=self.record["identity"])
        self._write(state, "running")
        self._curves.add(state.history[-1])

    def interrupt(self, state: Trial) -> None:
        """Keep the state as it is, between two steps."""
        checkpoint.save(self._folder, state.state(), identity=self.record["identity"])
        self._write(state, "interrupted")

    def finish(self, state: Trial) -> None:
        """Write the predictions and the result."""
        logits = state.logits()
        predictions = records.predictions_bytes(logits, self._dataset.test_labels)
        records.write_atomically(self._folder / "predictions.npz", predictions)
        self.record["result"] = self._result(state, logits)
        self._write(state, "finished")

    def end(self, status: str, message: str) -> None:
        """Record that the trial came to a bad end: `status` is failed or diverged."""
        defaults = {"versions": provenance.versions(), "machine": {}, "git": provenance.git_state()}
        # A record names no place of this machine, and messages of the system do.
        message = message.replace(f"{Path(self._config['results'])}{os.sep}", "")
        ended = {"status": status, "message": message, "result": None, "updated": _now()}
        records.write(self._folder, {**defaults, **self.record, **ended})

    def close(self) -> None:
        """Close the curves' file."""
        if self._curves is not None:
            self._curves.close()

    def _write(self, state: Trial, status: str) -> None:
        if state.history:
            records.write_atomically(self._folder / "history.csv", records.history_bytes(state.history))
            self.record["timings"] = {
                "seconds": sum(row["seconds"] for row in state.history),
                "train_images_per_second": statistics.median(row["images_per_second"] for row in state.history),
                "trials_at_once": self._at_once,
            }
        self.record |= {"status": status, "message": "", "updated": _now()}
        records.write(self._folder, self.record)

    def _result(self, state: Trial, logits: np.ndarray) -> dict[str, Any]:
        labels = self._dataset.test_labels
        wrong = logits.argmax(1) != labels
        evaluation = self._config["evaluation"]
        subset = evaluation_subset(
            mode=evaluation["subset"],
            images=evaluation["images"],
            available=len(labels),
            study_seed=self._config["seed"],
            trial=self._trial,
        )
        best = min(state.history, key=lambda row: row["test_error"])
        return {
            "epochs": len(state.history),
            "test_error": 100.0 * float(wrong[subset].mean()),
            "test_error_all": 100.0 * float(wrong.mean()),
            "best_epoch": best["epoch"],
            "best_test_error_all": best["test_error"],
        }


def _changes(before: dict[str, Any], record: dict[str, Any]) -> str:
    """Return in which versions and parts of the machine two records differ, "" when in none."""
    was, now = (
        {**one["versions"], **one["machine"], "commit": (one["git"].get("commit") or "")[:10]}
        for one in (before, record)
    )
    was.pop("cuda_graph", None)  # without it the bits are the same
    keys = sorted(was.keys() | ({"compiled"} & now.keys()))
    return ", ".join(f"{key} {was.get(key)} -> {now.get(key)}" for key in keys if was.get(key) != now.get(key))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
