"""The original CIFAR-10 (Krizhevsky 2009), fetched by torchvision and checked by checksum before anything is opened."""

import contextlib
import http.client
import io
import os
import socket
import sys
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hybridsep.data.dataset import Dataset
from hybridsep.errors import DataError
from hybridsep.runs.waiting import held_in

_TIMEOUT = 30.0  # seconds without an answer; torchvision sets none, and a network that swallows packets would hang


def load(*, root: str | os.PathLike[str], download: bool) -> Dataset:
    """Return CIFAR-10 from `root`: from its batch files, else from the archive there, else (`download`) from the web.

    The batch files are pickles: torchvision compares the MD5 of every one before it opens the first, so a changed file
    is refused, never unpickled. Raises DataError naming `root` when the files are not there and cannot be had.
    """
    # Here and not above: torchvision fails to load beside a torch of another build, and nothing else needs it.
    try:
        from torchvision.datasets import CIFAR10
        from torchvision.datasets.utils import check_integrity
    except (ImportError, RuntimeError) as error:
        raise DataError(f"data=cifar10 needs a torchvision that fits torch ({error}): reinstall both") from None

    root = Path(root).expanduser()

    def read(*, fetch: bool) -> tuple[CIFAR10, CIFAR10]:
        with _quiet():
            return CIFAR10(str(root), train=True, download=fetch), CIFAR10(str(root), train=False)

    try:
        try:
            train, test = read(fetch=False)
        except RuntimeError:  # not there, or not the original files
            have = check_integrity(root / CIFAR10.filename, CIFAR10.tgz_md5)
            if not have and not download:
                raise
            with held_in(root, ".download.lock", "the download of CIFAR-10"):
                print(f"{'unpacking' if have else 'downloading'} CIFAR-10 to {root}", file=sys.stderr, flush=True)
                train, test = read(fetch=True)
    except (OSError, RuntimeError, http.client.HTTPException, tarfile.TarError, EOFError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"no CIFAR-10 in {root} ({reason}): put {CIFAR10.url} (MD5 {CIFAR10.tgz_md5}) there, or use"
            " data=imagefolder data.path=FOLDER_OR_TAR (data=cifar10_jpeg for a copy as JPEG files), or data=synthetic"
        ) from None
    return Dataset(
        name="cifar10",
        title="CIFAR-10",
        train_images=np.ascontiguousarray(train.data),
        train_labels=np.asarray(train.targets, dtype=np.int64),
        test_images=np.ascontiguousarray(test.data),
        test_labels=np.asarray(test.targets, dtype=np.int64),
        classes=tuple(train.classes),
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torchvision's bar out of log files, NumPy's words on old pickles from the user, the network from hanging."""
    before = socket.getdefaulttimeout()
    bar = contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        with warnings.catch_warnings(), bar:
            warnings.simplefilter("ignore")
            yield
    finally:
        socket.setdefaulttimeout(before)
