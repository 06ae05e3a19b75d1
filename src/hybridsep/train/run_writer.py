"""What the folder of one trial says: its record, history, checkpoint, curves and predictions, and in which order."""

import datetime
import os
import statistics
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from hybridsep.config import Config, plain
from hybridsep.config.identity import identity, overrides_without_places, without_places
from hybridsep.data import Dataset
from hybridsep.data.subset import evaluation_subset
from hybridsep.networks.cost import Cost
from hybridsep.runs import events, provenance, record, records
from hybridsep.runs.record import Git, Machine, Record, Result, State, Status, Timings
from hybridsep.train import checkpoint, hyperparameters, pictures
from hybridsep.train.checkpoint import Inputs, TrialState
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
        before: Record | None,
    ):
        self._folder, self._config, self._images = folder, config, images
        self._cost, self._before = cost, before
        self._curves: Curves | None = None
        self._drawn = 0  # epochs whose points are in the curves
        self._at_once = 1
        kept = {**without_places(plain(config)), "trial": trial}
        self.record = Record(
            identity=identity(config, trial),
            status=State.RUNNING,
            message="",
            study=config.study,
            row=config.row,
            trial=trial,
            config=kept,
            settings=record.settings(kept),
            overrides=tuple(overrides_without_places(config)),
            dataset=dataset.identity(),
            model=record.Cost(cost.params, cost.macs),
            timings=before.timings if before else Timings(seconds=0.0),
            versions=provenance.versions(),
            machine=Machine(),
            git=Git(),
            started=before.started if before else _now(),
            updated=_now(),
        )

    def saved(self) -> tuple[TrialState | None, list[str]]:
        """Return the state to go on from, None for a new start, and lines worth saying. Raises as `checkpoint.load`."""
        saved, complaints = checkpoint.load(self._folder, identity=self.record.identity)
        lines = [f"{complaint}; going on from the checkpoint before it" for complaint in complaints]
        if saved is None and self.record.timings.seconds:
            lines.append(f"{label(self._folder)}: its checkpoint is gone, so it is trained anew from the first epoch")
        return saved, lines

    def begin(self, state: Trial, *, machine: Machine, trials_at_once: int, resumed: bool) -> str:
        """Record the start of training; return in what this place differs from that of the start before, "" if none."""
        self._at_once = trials_at_once
        before = self._before if resumed else None
        git = provenance.git_state()
        if before is not None:  # the earlier commits trained a part
            earlier = {*before.git.earlier, before.git.commit} - {git.commit, None}
            git = replace(git, earlier=tuple(sorted(filter(None, earlier))))
        mean, std = state.channels
        self.record = replace(
            self.record, machine=machine, git=git, dataset=replace(self.record.dataset, mean=mean, std=std)
        )
        self._write(state, State.RUNNING)
        configuration = yaml.safe_dump(self.record.config, sort_keys=False, allow_unicode=True)
        opening = [
            *hyperparameters.begin(hyperparameters.hyperparameters(self._config, self.record.trial)),
            events.text("configuration", f"```yaml\n{configuration}```"),
            pictures.training(state.training_images(pictures.COUNT)),
        ]
        self._curves, self._drawn = Curves(self._folder, state.history, opening), len(state.history)
        return "" if before is None else _changes(before, self.record)

    def without_graph(self, reason: str) -> None:
        """Let the record say, from its next writing on, that the CUDA graph could not be captured."""
        machine = replace(self.record.machine, cuda_graph=f"none: {reason}")
        self.record = replace(self.record, machine=machine)

    def commit(self, state: Trial) -> None:
        """Make the epochs done since the last commit durable: checkpoint, history and record, curves."""
        self._save(state)
        self.note_history(state)

    def note_history(self, state: Trial, status: Status = State.RUNNING) -> None:
        """Bring history, record and curves up to the last finished epoch, without a checkpoint."""
        self._write(state, status)
        if self._curves is not None and self._drawn < len(state.history):
            self._curves.add(state.history[self._drawn :])
            self._drawn = len(state.history)

    def interrupt(self, state: Trial) -> None:
        """Keep the state as it is, between two steps."""
        self._save(state)
        self.note_history(state, State.INTERRUPTED)

    def finish(self, state: Trial) -> None:
        """Write the predictions, what the curves end with, and the result; the record, which counts, comes last."""
        logits = state.logits()
        predictions = records.predictions_bytes(logits, self._images.test_labels)
        records.write_atomically(self._folder / "predictions.npz", predictions)
        result = self._result(state, logits)
        assert self._curves is not None  # `begin` came before
        self._curves.finish(self._closing(state, logits, result), epoch=len(state.history))
        self.record = replace(self.record, result=result)
        self._write(state, State.FINISHED)

    def end(self, status: Status, message: str) -> None:
        """Record that the trial came to a bad end: `status` is failed or diverged."""
        # A record names no place of this machine, and messages of the system do.
        message = message.replace(f"{Path(self._config.results)}{os.sep}", "")
        git = self.record.git if self.record.machine.device else provenance.git_state()  # it ended before `begin`
        self.record = replace(self.record, status=status, message=message, result=None, git=git, updated=_now())
        records.write(self._folder, record.as_json(self.record))

    def close(self) -> None:
        """Close the curves' file."""
        if self._curves is not None:
            self._curves.close()

    def _save(self, state: Trial) -> None:
        # With what a network needs to be used by itself: hybridsep.load.
        mean, std = map(list, state.channels)
        inputs = Inputs(list(self._images.classes), self._images.test_images.shape[1], mean, std)
        checkpoint.save(self._folder, replace(state.state(), inputs=inputs), identity=self.record.identity)

    def _write(self, state: Trial, status: Status) -> None:
        timings = self.record.timings
        if state.history:
            records.write_atomically(self._folder / "history.csv", records.history_bytes(state.history))
            timings = Timings(
                seconds=sum(epoch.seconds for epoch in state.history),
                train_images_per_second=statistics.median(epoch.images_per_second for epoch in state.history),
                trials_at_once=self._at_once,
            )
        self.record = replace(self.record, status=status, timings=timings, updated=_now())
        records.write(self._folder, record.as_json(self.record))

    def _closing(self, state: Trial, logits: np.ndarray, result: Result) -> list["Summary"]:
        """Return what TensorBoard shows of a finished trial beside its curves."""
        images, speed = self._images, self.record.timings.train_images_per_second or 0.0
        numbers = (result.test_error, result.test_error_all, *self._cost, speed)
        scalars = events.scalars(dict(zip(hyperparameters.METRICS, numbers, strict=True)))
        wrong = pictures.wrong(
            images.test_images, images.test_labels, logits.argmax(1), images.classes, size=state.image_size
        )
        return [scalars, *wrong, hyperparameters.end()]

    def _result(self, state: Trial, logits: np.ndarray) -> Result:
        labels, evaluation = self._images.test_labels, self._config.evaluation
        wrong = logits.argmax(1) != labels
        assert evaluation.images is not None  # `prepare` has chosen
        subset = evaluation_subset(
            mode=evaluation.subset,
            images=evaluation.images,
            available=len(labels),
            study_seed=self._config.seed,
            trial=self.record.trial,
        )
        best = min(state.history, key=lambda epoch: epoch.test_error)
        return Result(
            epochs=len(state.history),
            test_error=100.0 * float(wrong[subset].mean()),
            test_error_all=100.0 * float(wrong.mean()),
            best_epoch=best.epoch,
            best_test_error_all=best.test_error,
        )


def _changes(before: Record, now: Record) -> str:
    """Return in which versions and parts of the machine two records differ, "" when in none."""
    old, new = ({**one.versions, **asdict(one.machine), "commit": (one.git.commit or "")[:10]} for one in (before, now))
    # Without a graph the bits are the same; what an earlier version did not write down may be the same.
    keys = [key for key in sorted(old) if key != "cuda_graph" and (old[key] is not None or key == "compiled")]
    return ", ".join(f"{key} {old[key]} -> {new.get(key)}" for key in keys if old[key] != new.get(key))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
