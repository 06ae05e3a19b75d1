"""Checkpoints: one file, written atomically, carrying a digest of its own content; the one before it is kept.

A checkpoint is the commit of an epoch: everything else in a run folder that changes during training (history.csv, the
TensorBoard curve) can be made again from it. It is loaded with `weights_only=True`, so it can hold no code.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from hybridsep.errors import RecordError
from hybridsep.runs import records

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint-previous.pt"


def save(folder: Path, state: dict[str, Any], *, identity: str) -> None:
    """Write `state` (nested dictionaries and lists of tensors, numbers and texts) as the folder's checkpoint.

    `identity` says which run it is of. On OSError the checkpoint that was there still is.
    """
    state = {**state, "identity": identity}
    buffer = io.BytesIO()
    torch.save({**state, "digest": digest(state)}, buffer)
    records.write_atomically(folder / NAME, buffer.getvalue(), keep=folder / PREVIOUS)


def load(folder: Path, *, identity: str) -> tuple[dict[str, Any] | None, list[str]]:
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
            state = _load(path)
        except RecordError as error:
            complaints.append(str(error))
            continue
        if state.pop("identity", None) != identity:
            raise RecordError(f"{path} is of another run than the record beside it: was it copied there?")
        if complaints:
            os.replace(path, folder / NAME)
        return state, complaints
    if complaints:
        raise RecordError(f"{'; '.join(complaints)}; no sound checkpoint is left: remove {folder} to train it anew")
    return None, complaints


def _load(path: Path) -> dict[str, Any]:
    content = io.BytesIO(path.read_bytes())  # a disk that cannot be read now is no damage: OSError
    try:
        state = torch.load(content, map_location="cpu", weights_only=True)
        expected = state.pop("digest")
        sound = digest(state) == expected
    except Exception as error:  # unpickling damaged bytes ends in a dozen unrelated types, and so does a foreign file
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise RecordError(f"{path} is damaged or no checkpoint ({reason[0][:120]})") from None
    if not sound:
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
