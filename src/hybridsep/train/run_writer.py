"""What the folder of one trial says: its record, history, checkpoint, curves and predictions, and in which order."""

import datetime
import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from hybridsep.config import Config, plain
from hybridsep.config.identity import identity, overrides_without_places, without_places
from hybridsep.data import Dataset
from hybridsep.data.subset import evaluation_subset
from hybridsep.networks.cost import Cost
from hybridsep.runs import events, provenance, records
from hybridsep.train import checkpoint, hyperparameters, pictures
from hybridsep.train.tensorboard import Curves
from hybridsep.train.trial import Trial

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary


def label(folder: Path) -> str:
    """Return the name by which people are told of the trial in `folder`, such as `resnext trial-03`."""
    return f"{folder.parts[-2]} {folder.parts[-1]}"


class RunWriter:
    """Keeps one trial's folder, whose lock the caller holds. `before` is the record of the trial's last start, or None.

    `dataset` is what the record names; `images` are those of this trial, which are the same unless they are its own.

    The checkpoint is written first: it is what counts after a kill, and all else is made again from it.
    Every method that writes raises OSError when the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        trial: int,
        *,
        dataset: Dataset,
        images: Dataset,
        cost: Cost,
        before: records.Record | None,
    ):
        self._folder, self._config, self._trial, self._images = folder, config, trial, images
        self._before = before
        self._curves: Curves | None = None
        self._drawn = 0  # epochs whose points are in the curves
        self._at_once = 1
        self.record: dict[str, Any] = {
            "identity": identity(config, trial),
            "status": "running",
            "message": "",
            "study": config.study,
            "row": config.row,
            "trial": trial,
            "config": {**without_places(plain(config)), "trial": trial},
            "overrides": overrides_without_places(config),
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
        self.record["dataset"] |= state.channels
        changed = _changes(self._before, self.record) if resumed and self._before is not None else ""
        self._write(state, "running")
        configuration = yaml.safe_dump(self.record["config"], sort_keys=False, allow_unicode=True)
        opening = [
            *hyperparameters.begin(hyperparameters.hyperparameters(self._config, self._trial)),
            events.text("configuration", f"```yaml\n{configuration}```"),
            pictures.training(state.training_images(pictures.COUNT)),
        ]
        self._curves, self._drawn = Curves(self._folder, state.history, opening), len(state.history)
        return changed

    def _origin(self, resumed: bool) -> dict[str, Any]:
        """Return commit and state of the code; of a trial that goes on also the earlier commits that trained a part."""
        git = provenance.git_state()
        before = self._before["git"] if resumed and self._before is not None else git
        earlier = {*before.get("earlier", ()), before.get("commit")} - {git["commit"], None}
        return git | ({"earlier": sorted(earlier)} if earlier else {})

    def commit(self, state: Trial) -> None:
        """Make the epochs done since the last commit durable: checkpoint, history and record, curves."""
        self._save(state)
        self.note_history(state)

    def note_history(self, state: Trial) -> None:
        """Bring history, record and curves up to the last finished epoch, without a checkpoint."""
        self._write(state, "running")
        self._draw(state)

    def interrupt(self, state: Trial) -> None:
        """Keep the state as it is, between two steps."""
        self._save(state)
        self._write(state, "interrupted")
        self._draw(state)

    def finish(self, state: Trial) -> None:
        """Write the predictions, what the curves end with, and the result; the record, which counts, comes last."""
        logits = state.logits()
        predictions = records.predictions_bytes(logits, self._images.test_labels)
        records.write_atomically(self._folder / "predictions.npz", predictions)
        result = self._result(state, logits)
        assert self._curves is not None  # `begin` came before
        self._curves.finish(self._closing(state, logits, result), epoch=len(state.history))
        self.record["result"] = result
        self._write(state, "finished")

    def end(self, status: str, message: str) -> None:
        """Record that the trial came to a bad end: `status` is failed or diverged."""
        defaults = {"versions": provenance.versions(), "machine": {}, "git": provenance.git_state()}
        # A record names no place of this machine, and messages of the system do.
        message = message.replace(f"{Path(self._config.results)}{os.sep}", "")
        ended = {"status": status, "message": message, "result": None, "updated": _now()}
        records.write(self._folder, {**defaults, **self.record, **ended})

    def close(self) -> None:
        """Close the curves' file."""
        if self._curves is not None:
            self._curves.close()

    def _save(self, state: Trial) -> None:
        # With what a network needs to be used by itself: hybridsep.load.
        inputs = {"classes": list(self._images.classes), "side": self._images.test_images.shape[1], **state.channels}
        checkpoint.save(self._folder, {**state.state(), "inputs": inputs}, identity=self.record["identity"])

    def _draw(self, state: Trial) -> None:
        if self._curves is not None and self._drawn < len(state.history):
            self._curves.add(state.history[self._drawn :])
            self._drawn = len(state.history)

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

    def _closing(self, state: Trial, logits: np.ndarray, result: dict[str, Any]) -> list["Summary"]:
        """Return what TensorBoard shows of a finished trial beside its curves."""
        numbers = (
            result["test_error"],
            result["test_error_all"],
            *(self.record["model"][key] for key in ("params", "macs")),
            self.record["timings"]["train_images_per_second"],
        )
        dataset = self._images
        wrong = pictures.wrong(
            dataset.test_images, dataset.test_labels, logits.argmax(1), dataset.classes, size=state.image_size
        )
        scalars = events.scalars(dict(zip(hyperparameters.METRICS, numbers, strict=True)))
        return [scalars, *wrong, hyperparameters.end()]

    def _result(self, state: Trial, logits: np.ndarray) -> dict[str, Any]:
        labels = self._images.test_labels
        wrong = logits.argmax(1) != labels
        evaluation = self._config.evaluation
        assert evaluation.images is not None  # `prepare` has chosen
        subset = evaluation_subset(
            mode=evaluation.subset,
            images=evaluation.images,
            available=len(labels),
            study_seed=self._config.seed,
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


def _changes(before: records.Record, record: dict[str, Any]) -> str:
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
