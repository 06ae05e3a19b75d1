"""Checkpoints: one file, written atomically, whose checksums are compared when it is read; the one before it is kept.

A checkpoint is the commit of an epoch: everything else in a run folder that changes during training (history.csv, the
TensorBoard curve) can be made again from it. It is loaded with `weights_only=True`, so it can hold no code.
"""

import io
import os
import zipfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from hybridsep.errors import RecordError
from hybridsep.runs import records
from hybridsep.runs.record import Epoch

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint-previous.pt"


@dataclass(frozen=True)
class Inputs:
    """What a network's inputs and outputs mean: class names, images' side in pixels, mean and deviation per channel."""

    classes: list[str]
    side: int
    mean: list[float]
    std: list[float]


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """All that a resumed trial needs, on the CPU; in the middle of an epoch too. Its fields are keys of the file.

    `momentum` is by the parameters' names; `losses` and `wrong` are of the steps done in the epoch that was begun.
    """

    network: dict[str, Tensor]
    momentum: dict[str, Tensor]
    history: list[Epoch]
    steps_done: int
    seconds: float
    losses: Tensor
    wrong: Tensor
    dropout: Tensor
    inputs: Inputs | None = None  # earlier versions did not write it


def save(folder: Path, state: TrialState, *, identity: str) -> None:
    """Write `state` as the folder's checkpoint; `identity` says which run it is of.

    On OSError the checkpoint that was there still is.
    """
    content = {**vars(state), "history": [asdict(epoch) for epoch in state.history], "identity": identity}
    if state.inputs is not None:
        content["inputs"] = asdict(state.inputs)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    records.write_atomically(folder / NAME, buffer.getvalue(), keep=folder / PREVIOUS)


def load(folder: Path, *, identity: str) -> tuple[TrialState | None, list[str]]:
    """Return `(the newest sound checkpoint or None, a line for each one that was unsound)`.

    An unsound one is given up: the one before it takes its place, so that the next `save` does not keep the damage and
    discard what is sound. Raises RecordError when there are checkpoints and none is sound, rather than start anew in
    silence, or when the checkpoint is of another run than `identity`; OSError when one cannot be read.
    """
    complaints: list[str] = []
    for name in (NAME, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            state, of = _load(path)
        except RecordError as error:
            complaints.append(str(error))
            continue
        if of != identity:
            raise RecordError(f"{path} is of another run than the record beside it: was it copied there?")
        if complaints:
            os.replace(path, folder / NAME)
        return state, complaints
    if complaints:
        raise RecordError(f"{'; '.join(complaints)}; no sound checkpoint is left: remove {folder} to train it anew")
    return None, complaints


def _load(path: Path) -> tuple[TrialState, str]:
    """Return the state and the identity of its run."""
    content = path.read_bytes()  # a disk that cannot be read now is no damage: OSError
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as members:
            damaged = members.testzip()  # compares the checksums, which torch writes and does not read
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} does not fit its content")
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        parts = {entry.name: saved[entry.name] for entry in fields(TrialState) if entry.name in saved}
        parts["history"] = [Epoch(**epoch) for epoch in saved["history"]]
        if parts.get("inputs"):
            parts["inputs"] = Inputs(**parts["inputs"])
        return TrialState(**parts), saved["identity"]
    except Exception as error:  # unpickling damaged bytes ends in a dozen unrelated types, and so does a foreign file
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise RecordError(f"{path} is damaged or no checkpoint ({reason[0][:120]})") from None
