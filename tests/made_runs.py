"""Run folders made by code, with chosen error rates: so that the report can be tested and timed without training."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hybridsep.config.identity import identity
from hybridsep.data.subset import evaluation_subset
from hybridsep.report import conditions, settings
from hybridsep.runs import records
from hybridsep.runs.record import Epoch

CLASSES = 10
WHEN = "2026-01-01T00:00:00+00:00"


# What a record says of the datasets that the report knows: the source, and the content hash.
SOURCES = {"cifar10": "hybridsep.data.cifar10.load", "synthetic": "hybridsep.data.synthetic.load"}
MODULES = {
    "separable": "Separable",
    "inception": "Inception",
    "resnext": "ResNeXt",
    "reformulated_inception": "ReformulatedInception",
    "separable_equivalent": "SeparableEquivalent",
    "hybrid": "Hybrid",
}
JPEG_COPY = "aa5a453d17f6c7218045d85f08b25804d7723885eeb5a398b83c66c80e7bb3b4"


def run_config(
    study: str, row: str, trial: int, *, images: int, epochs: int, data: str, experiment: str = ""
) -> dict[str, Any]:
    """Return a resolved configuration as run folders hold it; with `experiment` as that one composes it for the row."""
    source = {"_target_": SOURCES.get(data, "fabricated")}
    config = {
        "seed": 0,
        "study": study,
        "row": row,
        "trial": trial,
        "model": {
            "name": row,
            "title": row,
            "network": {"_target_": "hybridsep.networks.Stack", "widths": [16, 32, 64], "depth": 1},
            "module": {"_target_": f"hybridsep.modules.{MODULES.get(row, row)}", "inner_ratio": 1.0},
        },
        "size": {"name": "tiny", "widths": [16, 32, 64], "depth": 1},
        "data": {
            "name": data,
            "title": f"{data} (fabricated)",
            "source": source,
        },
        "augmentation": {"kind": "crop_flip", "padding": 4, "cutout": 8},
        "schedule": {"name": "quick", "epochs": epochs, "batch_size": 64, "learning_rate": 0.1, "weight_decay": 5e-4},
        "evaluation": {"subset": "paper", "images": images * 6 // 10},
        "precision": "float32",
        "paired": True,
        "match": "none",
        "results": "results",
        "device": "cpu",
    }
    if experiment:
        kept = ("model", "schedule", "augmentation", "match", "paired")
        model = row.removesuffix("_matched")
        config |= {key: value for key, value in conditions.composed(experiment, model).items() if key in kept}
    return config


def paper(monkeypatch: Any, **change: Any) -> None:
    """Let the report take paper.yaml with other `data`, `tables` or `claims` for the rest of a test."""
    changed = replace(settings.paper(), **change)
    monkeypatch.setattr(settings, "read_paper", lambda path: changed)


def logits(*, images: int, error: float, trial: int, row: int, agreement: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Return `(logits float16 (images, 10), labels uint8)` with exactly round(images * error / 100) wrong predictions.

    Hard images are hard for every run to the degree of `agreement` in [0, 1].
    """
    shared = np.random.default_rng(7)
    labels, difficulty = shared.integers(0, CLASSES, images), shared.standard_normal(images)
    own = np.random.default_rng([trial, row])
    score = np.sqrt(agreement) * difficulty + np.sqrt(1 - agreement) * own.standard_normal(images)
    wrong = np.argsort(score, kind="stable")[images - round(images * error / 100) :]
    predicted = labels.copy()
    predicted[wrong] = (labels[wrong] + own.integers(1, 4, len(wrong))) % CLASSES
    values = own.standard_normal((images, CLASSES)).astype(np.float32) * 0.3
    values[np.arange(images), predicted] += 4.0
    return values.astype(np.float16), labels.astype(np.uint8)


def history(*, error: float, epochs: int, trial: int) -> list[Epoch]:
    """Return the rows of a history.csv whose test error falls from 90 % to `error`."""
    wobble = np.random.default_rng([trial, epochs]).normal(0, 0.3, epochs)
    rows = []
    for epoch in range(1, epochs + 1):
        now = error + (90 - error) * (1 - epoch / epochs) ** 2 + (wobble[epoch - 1] if epoch < epochs else 0)
        values = (epoch, now / 30, now * 0.9, now / 28, now, 0.1 * (1 - epoch / epochs), 1000.0 + trial, 2.0)
        rows.append(Epoch(*values))
    return rows


def run(
    results: Path,
    study: str,
    row: str,
    trial: int,
    *,
    error: float = 6.0,
    images: int = 500,
    epochs: int = 4,
    data: str = "synthetic",
    status: str = "finished",
    index: int = 0,
    agreement: float = 0.8,
    change: Mapping[str, Any] | None = None,
    experiment: str = "",
) -> Path:
    """Write one run folder and return it. `change` maps dotted configuration keys to other values.

    With `experiment` and 10,000 images, a run of `data` cifar10 or cifar10-jpeg is made as the paper's are.
    """
    config = run_config(study, row, trial, images=images, epochs=epochs, data=data, experiment=experiment)
    epochs = config["schedule"]["epochs"]
    for key, value in (change or {}).items():
        *path, last = key.split(".")
        node = config
        for part in path:
            node = node[part]
        node[last] = value
    folder = records.run_folder(results, study, row, trial)
    folder.mkdir(parents=True)
    rows = history(error=error, epochs=epochs if status == "finished" else max(1, epochs // 2), trial=trial)
    result = None
    if status == "finished":
        values, labels = logits(images=images, error=error, trial=trial, row=index, agreement=agreement)
        wrong = values.argmax(axis=1) != labels
        subset = config["evaluation"]
        chosen = evaluation_subset(
            mode=subset["subset"], images=subset["images"], available=images, study_seed=config["seed"], trial=trial
        )
        rows[-1] = replace(rows[-1], test_error=100 * float(wrong.mean()))
        result = {
            "epochs": epochs,
            "test_error": 100 * float(wrong[chosen].mean()),
            "test_error_all": 100 * float(wrong.mean()),
            "best_epoch": epochs,
            "best_test_error_all": min(epoch.test_error for epoch in rows),
        }
        (folder / "predictions.npz").write_bytes(records.predictions_bytes(values, labels))
    (folder / "history.csv").write_bytes(records.history_bytes(rows))
    record = {
        "identity": identity(config, trial),
        "status": status,
        "message": "" if status != "failed" else "out of memory",
        "study": study,
        "row": row,
        "trial": trial,
        "config": config,
        "dataset": {
            "name": data,
            "title": config["data"]["title"],
            "sha256": JPEG_COPY if data == "cifar10-jpeg" else "ab" * 32,
            "train": (5 if experiment else 4) * images,
            "test": images,
            "classes": [str(number) for number in range(CLASSES)],
            "height": 32,
            "width": 32,
        },
        "model": {"params": 900_000 + 1000 * index, "macs": 12_000_000 * (index + 1)},
        "result": result,
        "timings": {"seconds": 8.0, "train_images_per_second": 1000.0 / (index + 1)},
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "machine": {"system": "Linux x86_64", "processor": "Fabricated CPU", "cores": 2, "threads": 2, "device": "cpu"},
        "git": {"commit": None, "dirty": None},
        "started": WHEN,
        "updated": WHEN,
    }
    records.write(folder, record)
    return folder


def study(
    results: Path,
    name: str,
    rows: Mapping[str, float],
    *,
    trials: int = 10,
    spread: float = 0.3,
    shared: float = 0.5,
    **options: Any,
) -> list[Path]:
    """Write `trials` runs of each row, whose mean test errors are `rows` (percent), and return their folders.

    `spread` is the standard deviation over trials; `shared` the part of its variance that a trial has in common for all
    rows.
    """
    common = np.random.default_rng(11).standard_normal(trials)
    folders = []
    for index, (row, error) in enumerate(rows.items()):
        own = np.random.default_rng([13, index]).standard_normal(trials)
        for trial in range(trials):
            value = error + spread * (np.sqrt(shared) * common[trial] + np.sqrt(1 - shared) * own[trial])
            folders.append(run(results, name, row, trial, error=float(np.clip(value, 0, 100)), index=index, **options))
    return folders


FIGURE4 = {
    "separable": 8.0,
    "inception": 8.9,
    "resnext": 8.6,
    "reformulated_inception": 8.7,
    "separable_equivalent": 8.0,
    "hybrid": 8.1,
}


def fill(results: Path, *, studies: int, rows: int, trials: int, images: int, distinct: int = 200) -> int:
    """Write `studies` x `rows` x `trials` run folders of `images` test images each, and return their number.

    At most about `distinct` different predictions are made and linked to, since compressing thousands takes longer than
    reporting them; the report reads, unpacks and checks every one of them.
    """
    names = [*FIGURE4, *(f"row{number:04d}" for number in range(rows))][:rows]
    models: dict[tuple[int, int], Path] = {}
    for number in range(studies):
        for index, row in enumerate(names):
            for trial in range(trials):
                kind = index % max(1, distinct // trials)
                if (kind, trial) not in models:
                    options: dict[str, Any] = {"error": 6 + 0.1 * kind, "images": images, "epochs": 190, "index": kind}
                    models[kind, trial] = run(results / "scratch", "models", f"kind{kind}", trial, **options)
                _copy(models[kind, trial], results, f"study{number:03d}", row, trial)
    return studies * rows * trials


def _copy(source: Path, results: Path, study: str, row: str, trial: int) -> None:
    """Write the run of `source` as another row of another study, its record made to fit."""
    record = read_record(source)
    config = record["config"]
    config["model"] |= {"name": row, "title": row, "module": {"_target_": row}}
    config |= {"study": study, "row": row}
    record |= {"study": study, "row": row, "identity": identity(config, trial)}
    folder = records.run_folder(results, study, row, trial)
    folder.mkdir(parents=True)
    records.write(folder, record)
    for name in ("history.csv", "predictions.npz"):
        (folder / name).hardlink_to(source / name)


def read_record(folder: Path) -> dict[str, Any]:
    """Return record.json of a run's folder as it stands there, checked."""
    records.load(folder)
    return json.loads((folder / "record.json").read_bytes())
