"""Two runs held side by side: equal bit for bit where they must be, one clean TensorBoard curve, nothing left over."""

import hashlib
from dataclasses import is_dataclass
from pathlib import Path

import numpy as np
import torch
from made_runs import read_record
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from hybridsep.runs import records
from hybridsep.train import checkpoint

FILES = {"record.json", "history.csv", "predictions.npz", "checkpoint.pt", "checkpoint-previous.pt", "tfevents"}
_PERHAPS = {"checkpoint-previous.pt"}  # not there when all epochs shared one commit
# How a run is carried out, which may differ.
_CARRIED_OUT = dict.fromkeys(("results", "trials_at_once", "cuda_graph"))
_CURVES = {
    "loss/train": "train_loss",
    "loss/test": "test_loss",
    "error/train": "train_error",
    "error/test": "test_error",
    "learning rate": "learning_rate",
}


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return `{tag: [(step, value), ...]}` of a run's event files in their order."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("*tfevents*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    found.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
    return found


def files(folder: Path) -> list[str]:
    """Return the names in a run's folder, sorted; event files, whose names hold the time, as `tfevents`.

    Empty ones are left out: an earlier start's, kept for a TensorBoard that has them open.
    """
    kept = [path for path in folder.iterdir() if "tfevents" not in path.name or path.stat().st_size]
    return sorted("tfevents" if "tfevents" in path.name else path.name for path in kept)


def differences(folder: Path, reference: Path) -> list[str]:
    """Return in what two finished runs differ that must be equal bit for bit, and what is left over in `folder`."""
    problems = []
    there = files(folder)
    if len(there) != len(set(there)) or set(there) | _PERHAPS != FILES:
        problems.append(f"files: {files(folder)}")
    one, other = (read_record(place) for place in (folder, reference))
    for key in ("identity", "status", "message", "config", "dataset", "model", "result", "study", "row", "trial"):
        mine, wanted = ({**record[key], **_CARRIED_OUT} if key == "config" else record[key] for record in (one, other))
        if mine != wanted:
            problems.append(f"record.json, {key}: {mine} instead of {wanted}")
    if (folder / "predictions.npz").read_bytes() != (reference / "predictions.npz").read_bytes():
        problems.append("predictions.npz")
    frames = [records.read_history(place) for place in (folder, reference)]
    same = [column for column in records.HISTORY_COLUMNS if column not in ("images_per_second", "seconds")]
    if not frames[0][same].equals(frames[1][same]):
        problems.append(f"history.csv: {frames[0][same].to_csv()} instead of {frames[1][same].to_csv()}")
    states = [checkpoint.load(place, identity=other["identity"])[0] for place in (folder, reference)]
    for part in ("network", "momentum", "dropout"):
        mine, wanted = (getattr(state, part) if part != "dropout" else {"": state.dropout} for state in states)
        if mine.keys() != wanted.keys() or not all(torch.equal(mine[name], wanted[name]) for name in wanted):
            problems.append(f"checkpoint.pt, {part}")
    found = curves(folder)
    for tag, column in _CURVES.items():
        wanted = [(row.epoch, float(np.float32(getattr(row, column)))) for row in states[0].history]
        if found.get(tag) != wanted:
            problems.append(f"TensorBoard, {tag}: {found.get(tag)} instead of {wanted}")
    ended = {"test error": "test_error", "test error, all images": "test_error_all"}
    for tag, key in ended.items():
        wanted = [(other["result"]["epochs"], float(np.float32(other["result"][key])))]
        if found.get(f"result/{tag}") != wanted:
            problems.append(f"TensorBoard, result/{tag}: {found.get(f'result/{tag}')} instead of {wanted}")
    return problems


def digest(state: object) -> str:
    """Return a hash of a checkpoint's content, whatever its layout on the disk."""
    if is_dataclass(state):
        state = vars(state)
    if isinstance(state, torch.Tensor):
        state = (str(state.dtype), tuple(state.shape), state.contiguous().view(-1).view(torch.uint8).tolist())
    elif isinstance(state, dict):
        state = {key: digest(state[key]) for key in sorted(state)}
    elif isinstance(state, list | tuple):
        state = [digest(part) for part in state]
    return hashlib.sha256(repr(state).encode()).hexdigest()


def assert_same(folder: Path, reference: Path, what: str) -> None:
    """Raise AssertionError, naming `what` was tried, unless two finished runs are equal bit for bit."""
    problems = differences(folder, reference)
    assert not problems, f"{what}: {'; '.join(problems)}"
