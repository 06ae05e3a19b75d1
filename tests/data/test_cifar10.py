"""The original CIFAR-10: downloaded once, checked before it is unpickled."""

import hashlib
import pickle
import tarfile
import threading
import time
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from made_images import Bomb, write_folder, write_tar
from refusals import refused

from hybridsep.config.targets import check_keywords
from hybridsep.data import cifar10
from hybridsep.errors import DataError
from hybridsep.runs.seeds import stream


@pytest.fixture
def original(tmp_path, monkeypatch) -> Path:
    """A CIFAR-10 of twelve images that torchvision takes for the original; the folder is not downloaded yet."""
    from torchvision.datasets import CIFAR10, utils

    def batch(name: str, count: int, seed: int) -> bytes:
        data = stream(seed, "test").integers(0, 256, (count, 3072), dtype=np.uint8)
        return pickle.dumps({"data": data, "labels": [n % 2 for n in range(count)], "batch_label": name})

    files = {"data_batch_1": batch("1", 6, 1), "data_batch_2": batch("2", 4, 2), "test_batch": batch("t", 2, 3)}
    files["batches.meta"] = pickle.dumps({"label_names": ["plane", "car"]})
    packed = {f"{CIFAR10.base_folder}/{name}": data for name, data in files.items()}
    source = write_tar(tmp_path / "source.tar.gz", packed, "w:gz")
    md5 = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5[name]] for name in ("data_batch_1", "data_batch_2")])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5["batches.meta"]})
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(source.read_bytes()).hexdigest())

    def offline(*arguments, **keywords):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(utils.urllib.request, "urlopen", offline)
    return source


def online(monkeypatch, source: Path) -> list[str]:
    """Let torchvision's download find `source`; the list collects what it was asked for."""
    from torchvision.datasets import utils

    asked = []

    def fetch(url: str, filename: str, *_: object) -> None:
        asked.append(url)
        Path(filename).write_bytes(source.read_bytes())

    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, max_hops: url)
    monkeypatch.setattr(utils, "_urlretrieve", fetch)
    return asked


def test_cifar10_is_downloaded_once_and_read(tmp_path, original, monkeypatch, capfd):
    asked, root = online(monkeypatch, original), tmp_path / "data" / "cifar10"
    first = cifar10.load(root=root, download=True)
    assert capfd.readouterr().err == f"downloading CIFAR-10 to {root}\n" and len(asked) == 1
    assert (first.name, first.title, first.classes) == ("cifar10", "CIFAR-10", ("plane", "car"))
    assert first.train_images.shape == (10, 32, 32, 3) and first.test_labels.tolist() == [0, 1]
    planes = stream(1, "test").integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)  # red, green, blue in the batch files
    assert np.array_equal(first.train_images[:6], planes.transpose(0, 2, 3, 1))
    assert cifar10.load(root=root, download=False).sha256 == first.sha256 and len(asked) == 1
    assert capfd.readouterr().err == "" and not (root / ".download.lock").exists()


@pytest.mark.parametrize("download", [True, False])
def test_an_archive_put_there_by_hand_needs_no_network(tmp_path, original, download):
    root = tmp_path / "data"
    write_folder(root, {"cifar-10-python.tar.gz": original.read_bytes()})
    assert len(cifar10.load(root=root, download=download).train_images) == 10


@pytest.mark.parametrize("download", [True, False])
def test_without_files_the_alternatives_are_named_and_nothing_is_written(tmp_path, original, download):
    root = tmp_path / "new" / "cifar10"
    ways = ("cifar-10-python.tar.gz", "data=imagefolder data.path=", "data=synthetic")
    with refused(str(root), *ways, kind=DataError) as caught:
        cifar10.load(root=root, download=download)
    assert ("no route to host" in str(caught.value)) == download and not root.parent.exists()


@pytest.mark.parametrize("file", ["data_batch_2", "test_batch", "batches.meta"])
@pytest.mark.parametrize("download", [True, False])
def test_a_changed_batch_is_never_unpickled(tmp_path, original, file, download):
    from torchvision.datasets import CIFAR10

    root = tmp_path / "data"
    write_folder(root, {"cifar-10-python.tar.gz": original.read_bytes()})
    cifar10.load(root=root, download=False)
    (root / "cifar-10-python.tar.gz").write_bytes(pickle.dumps(Bomb(tmp_path)))
    (root / CIFAR10.base_folder / file).write_bytes(pickle.dumps(Bomb(tmp_path)))
    with refused(str(root), kind=DataError):
        cifar10.load(root=root, download=download)
    assert not (tmp_path / "exploded").exists()
    pickle.loads((root / CIFAR10.base_folder / file).read_bytes())
    assert (tmp_path / "exploded").exists()  # the bomb was a real one


def test_a_second_process_waits_for_the_download_of_the_first(tmp_path, original, monkeypatch):
    asked, root, results = online(monkeypatch, original), tmp_path / "data", []
    root.mkdir()
    with FileLock(root / ".download.lock"):
        second = threading.Thread(target=lambda: results.append(cifar10.load(root=root, download=True)))
        second.start()
        time.sleep(0.3)
        assert second.is_alive() and not asked
        with tarfile.open(original) as tar:
            tar.extractall(root, filter="data")
    second.join(timeout=20)
    assert len(results) == 1 and not asked


def test_download_must_be_yes_or_no(tmp_path):
    with refused(key="data.source.download=maybe"):
        check_keywords(cifar10.load, {"root": str(tmp_path), "download": "maybe"}, "data.source")
