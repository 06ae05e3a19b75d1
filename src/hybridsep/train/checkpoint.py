"""Checkpoints: one file, written atomically, carrying a digest of its own content; the one before it is kept.

A checkpoint is the commit of an epoch: everything else in a run folder that changes during training (history.csv, the
TensorBoard curve) can be made again from it. It is loaded with `weights_only=True`, so it can hold no code.
"""

import hashlib
import io
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from hybridsep import records
from hybridsep.errors import RecordError

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint-previous.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` (nested dictionaries and lists of tensors, numbers and texts) as the folder's checkpoint."""
    buffer = io.BytesIO()
    torch.save({**state, "digest": digest(state)}, buffer)
    current = folder / NAME
    if current.exists():
        os.replace(current, folder / PREVIOUS)
    records.write_atomically(current, buffer.getvalue())


def load(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Return `(the newest sound checkpoint or None, a line for each one that was unsound)`.

    Raises RecordError when there are checkpoints and none is sound, rather than start anew in silence.
    """
    complaints: list[str] = []
    for name in (NAME, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            return _load(path), complaints
        except RecordError as error:
            complaints.append(str(error))
    if complaints:
        raise RecordError(f"{'; '.join(complaints)}; no sound checkpoint is left: remove {folder} to train it anew")
    return None, complaints


def _load(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise RecordError(f"{path} is damaged ({reason[0][:120]})") from None
    if not isinstance(state, dict) or "digest" not in state:
        raise RecordError(f"{path} is not a checkpoint of this program")
    expected = state.pop("digest")
    if digest(state) != expected:
        raise RecordError(f"{path} is damaged (its checksum does not fit its content)")
    return state


def digest(state: Any) -> str:
    """Return the SHA-256 of nested dictionaries and lists of tensors, numbers and texts, independent of layout."""
    total = hashlib.sha256()
    for part in _parts(state):
        total.update(part)
    return total.hexdigest()


def _parts(node: Any) -> Iterator[bytes]:
    if isinstance(node, dict):
        for key in sorted(node):
            yield f"{key}:".encode()
            yield from _parts(node[key])
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _parts(item)
    elif isinstance(node, torch.Tensor):
        tensor = node.detach().cpu().contiguous()
        yield f"{tensor.dtype}{tuple(tensor.shape)}".encode()
        yield tensor.view(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    else:
        yield json.dumps(node).encode()
