"""From run folders to runs that can be trusted; every folder that cannot is named with its reason."""

import copy
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hybridsep.config.identity import identity, science
from hybridsep.data.subset import HELD_OUT, evaluation_subset
from hybridsep.errors import ConfigError, RecordError, UserError
from hybridsep.runs import machine, records
from hybridsep.runs.provenance import tracked
from hybridsep.runs.record import Record, Result, State


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder that can be used.

    A finished run has `predicted` and `labels`, (images,): a class per test image. Runs with the same labels
    share one array of them.
    """

    folder: Path
    study: str
    row: str
    trial: int
    status: State
    record: Record
    predicted: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))
    labels: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))

    @property
    def result(self) -> Result:
        """How the finished run ended. Raises RecordError for one that has not."""
        if self.record.result is None:
            raise RecordError(f"{self.folder}: not finished")
        return self.record.result

    @property
    def wrong(self) -> np.ndarray:
        """(images,) bool: which test images the finished run gets wrong."""
        return np.not_equal(self.predicted, self.labels)


@dataclass(frozen=True, slots=True)
class Problem:
    """A folder, or a whole study or `row` of it when `folder` is None, and why the report cannot use it."""

    study: str
    folder: Path | None
    message: str
    row: str = ""


def studies(results: Path, *, speed: bool = False) -> list[str]:
    """Return the names of the studies that have a folder under `results/runs` or, with `speed`, `results/speed`."""
    roots = [results / name for name in ("runs", *(["speed"] if speed else []))]
    return sorted({path.name for root in roots if root.is_dir() for path in root.iterdir() if path.is_dir()})


def choose(results: Path, study: str | None, *, speed: bool = False) -> list[str]:
    """Return the studies that `study=` names; None and `all` are all. Raises ConfigError that lists those there are."""
    names = studies(results, speed=speed)
    if not names:
        raise ConfigError(
            f"no studies under {results / 'runs'}: run one first, for instance python -m hybridsep.run experiment=quick"
        )
    if study in (None, "all"):
        return names
    if study not in names:
        raise ConfigError(f"no study '{study}' under {results / 'runs'}; there are {', '.join(names)}")
    return [study]


def committed(results: Path) -> list[str]:
    """Return the studies of which git tracks a file of their runs."""
    kept = {path.split("/")[1] for path in tracked(results) if path.startswith(("runs/", "speed/"))}
    return [name for name in studies(results, speed=True) if name in kept]


@dataclass
class Cache:
    """What was read of folders before, with the state of their files then: unchanged ones are not read again."""

    outcomes: dict[Path, tuple[tuple[int, ...], "Run | Problem"]] = field(default_factory=dict)
    labels: dict[bytes, np.ndarray] = field(default_factory=dict)

    def read(self, folder: Path) -> "Run | Problem":
        """Return the run of a folder, or why it cannot be used."""
        state = _state(folder)
        before = self.outcomes.get(folder)
        if before is None or before[0] != state:
            before = self.outcomes[folder] = (state, _read_one(folder, self.labels))
        return before[1]


def _state(folder: Path) -> tuple[int, ...]:
    state = []
    for name in ("record.json", "predictions.npz"):
        try:
            about = (folder / name).stat()
            state += [about.st_mtime_ns, about.st_size, about.st_ino]
        except OSError:
            state.append(0)
    return tuple(state)


def read(results: Path, names: Iterable[str], cache: Cache | None = None) -> tuple[list[Run], list[Problem]]:
    """Return the usable runs of the studies `names`, in order of folders, and what is wrong with the others."""
    studies = set(names)
    folders = [folder for folder in records.find(results) if folder.parts[-3] in studies]
    cache = cache or Cache()
    with ThreadPoolExecutor(min(4, machine.cores())) as pool:
        outcomes = list(pool.map(cache.read, folders))
    runs = [outcome for outcome in outcomes if isinstance(outcome, Run)]
    problems = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
    runs, duplicates = _without_duplicates(runs)
    runs, other_labels = _of_one_label_set(runs)
    return runs, problems + duplicates + other_labels


def _read_one(folder: Path, labels: dict[bytes, np.ndarray]) -> Run | Problem:
    try:
        record = records.load(folder)
        if record.status != State.FINISHED:
            return Run(folder, record.study, record.row, record.trial, record.status, record)
        return _finished(folder, record, labels)
    except UserError as error:
        return Problem(folder.parts[-3], folder, str(error))


def _finished(folder: Path, record: Record, labels: dict[bytes, np.ndarray]) -> Run:
    """Return the finished run of a record that its predictions bear out. Raises RecordError otherwise."""
    if record.result is None:
        raise RecordError(f"{folder}: record.json says finished but has no result")
    _check_record(folder, record, record.result.epochs)
    logits, truth = records.read_predictions(folder)
    _check_predictions(folder, record, logits, truth)
    # float32: the arg-max of half floats is many times slower and picks the same class.
    predicted = logits.astype(np.float32).argmax(axis=1).astype(np.min_scalar_type(logits.shape[1] - 1))
    _check_errors(folder, record, record.result, predicted != truth)
    shared = labels.setdefault(truth.tobytes(), truth)
    return Run(folder, record.study, record.row, record.trial, State.FINISHED, record, predicted, shared)


def _check_record(folder: Path, record: Record, epochs: int) -> None:
    if epochs != record.settings.schedule.epochs:
        raise RecordError(
            f"{folder}: record.json says finished after {epochs} of {record.settings.schedule.epochs} epochs"
        )
    if record.identity != identity(record.config, record.trial):
        raise RecordError(
            f"{folder}: record.json was changed by hand: its identity does not fit its configuration and trial"
        )


def _check_predictions(folder: Path, record: Record, logits: np.ndarray, labels: np.ndarray) -> None:
    if not np.isfinite(logits).all():
        raise RecordError(f"{folder}: predictions.npz has logits that are not numbers")
    evaluation = record.settings.evaluation
    kept = evaluation.images if evaluation.subset == HELD_OUT else record.dataset.test
    expected = (kept, len(record.dataset.classes))
    if logits.shape != expected or labels.max() >= expected[1]:
        raise RecordError(
            f"{folder}: predictions.npz is of {logits.shape}, record.json of {expected} (test images, classes)"
        )


def _check_errors(folder: Path, record: Record, result: Result, wrong: np.ndarray) -> None:
    """Hold the recorded errors against the kept predictions; ties of half floats may move an image or two."""
    evaluation, seed = record.settings.evaluation, record.settings.seed
    chosen = evaluation_subset(
        mode=evaluation.subset, images=evaluation.images, available=len(wrong), study_seed=seed, trial=record.trial
    )
    errors = {"test_error": (result.test_error, wrong[chosen]), "test_error_all": (result.test_error_all, wrong)}
    for key, (recorded, counted) in errors.items():
        ties = max(2, 0.001 * len(counted))
        if abs(recorded / 100 * len(counted) - counted.sum()) > ties + 1e-6:
            raise RecordError(
                f"{folder}: record.json says {key} {recorded:.4g} %, predictions.npz"
                f" {100 * counted.mean():.4g} %; one of them was changed"
            )


def _without_duplicates(runs: list[Run]) -> tuple[list[Run], list[Problem]]:
    """Leave out what was trained before: of one study, the same configuration, trial and images."""
    first: dict[tuple[str, str, str], Run] = {}
    problems = []
    for run in runs:
        same = first.setdefault((run.study, run.record.identity, run.record.dataset.sha256), run)
        if same is not run:
            message = (
                f"{run.folder}: the same run as {same.folder} (identity {run.record.identity}); this one is left out"
            )
            problems.append(Problem(run.study, run.folder, message))
    kept = {id(run) for run in first.values()}
    return [run for run in runs if id(run) in kept], problems


def _of_one_label_set(runs: list[Run]) -> tuple[list[Run], list[Problem]]:
    """Leave out the runs whose test labels differ from those of most runs that name the same images."""

    def images_of(run: Run) -> tuple[object, ...]:
        evaluation = run.record.settings.evaluation
        held_out = (run.trial, evaluation.images) if evaluation.subset == HELD_OUT else None
        return run.study, run.record.dataset.sha256, held_out

    seen: dict[tuple[object, ...], Counter[int]] = {}
    for run in runs:
        if run.status == State.FINISHED:
            seen.setdefault(images_of(run), Counter())[id(run.labels)] += 1
    usual = {key: counts.most_common(1)[0][0] for key, counts in seen.items()}
    kept, problems = [], []
    for run in runs:
        if run.status != State.FINISHED or id(run.labels) == usual[images_of(run)]:
            kept.append(run)
        else:
            message = (
                f"{run.folder}: predictions.npz has other test labels than the study's other runs of the same dataset"
            )
            problems.append(Problem(run.study, run.folder, message))
    return kept, problems


def common_part(run: Run, vary: Iterable[str] = (), *, network: bool) -> dict[str, Any]:
    """Return what all rows of one table must share: dataset and configuration, less the model.

    With `network` only the module under test is left out. `vary` names dotted keys that may differ nevertheless.
    """
    shared = copy.deepcopy(science(run.record.config))
    shared["dataset"] = {key: getattr(run.record.dataset, key) for key in ("name", "sha256", "train", "test")}
    model = shared.pop("model", {})
    if network:
        shared["model"] = {"network": model.get("network")}
    for key in vary:
        *path, last = key.split(".")
        node = shared
        for part in path:
            node = node.get(part, {})
        node.pop(last, None)
    return shared
