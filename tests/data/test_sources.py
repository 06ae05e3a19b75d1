"""Datasets: identity, evaluation subsets, the three sources, and files that mean harm."""

import contextlib
import hashlib
import io
import os
import pickle
import resource
import struct
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from PIL import Image

from hybridsep.config.targets import check_keywords
from hybridsep.data import Dataset, archive, channel_statistics, cifar10, imagefolder, layout, synthetic
from hybridsep.data.images import decode
from hybridsep.data.subset import evaluation_subset, held_out, redrawn_subset
from hybridsep.errors import ConfigError, DataError
from hybridsep.runs.seeds import stream

CONF = Path(__file__).parents[2] / "conf" / "data"


def pixels(seed: int, side: int = 8, mode: str = "RGB") -> Image.Image:
    values = stream(seed, "test").integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def small(side: int = 8) -> dict[str, bytes]:
    """Two classes, three training and one test image each."""
    names = [f"{part}/{label}/{n}.png" for part, k in (("train", 3), ("test", 1)) for label in "ab" for n in range(k)]
    return {name: encoded(pixels(number, side)) for number, name in enumerate(names)}


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w", extra: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in extra:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def write_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def load(path: Path, cache: Path | None = None) -> Dataset:
    return imagefolder.load(path=path, cache=cache or path.parent / "cache", name="some", title="Some")


def refused(path: Path, *words: str) -> str:
    """The message with which a source is refused: one line, and nothing is written anywhere."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(DataError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    for word in words:
        assert word in message
    assert sorted(path.parent.rglob("*")) == before
    return message


def dataset(**changes) -> Dataset:
    images = np.arange(4 * 8 * 8 * 3, dtype=np.int64).astype(np.uint8).reshape(4, 8, 8, 3)
    fields = {"name": "n", "title": "t", "train_images": images, "train_labels": np.array([0, 1, 0, 1])}
    fields |= {"test_images": images[:2].copy(), "test_labels": np.array([1, 0]), "classes": ("a", "b")}
    return Dataset(**fields | changes)


# --- dataset ---


def test_identity_is_of_the_content():
    one = dataset()
    assert one.identity() == {
        "name": "n",
        "title": "t",
        "sha256": one.sha256,
        "train": 4,
        "test": 2,
        "classes": ["a", "b"],
        "height": 8,
        "width": 8,
    }
    assert dataset(name="other", title="other").sha256 == one.sha256
    pixel = one.test_images.copy()
    pixel[1, 7, 7, 2] ^= 1
    labels = np.array([0, 1, 1, 0])
    moved = {"train_images": one.train_images[:2].copy(), "train_labels": np.array([0, 1])}
    others = ({"test_images": pixel}, {"train_labels": labels}, {"classes": ("a", "c")}, moved)
    assert len({one.sha256, *(dataset(**other).sha256 for other in others)}) == 5


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"train_images": np.zeros((4, 8, 12, 3), np.uint8)}, "12 x 8"),
        ({"train_images": np.zeros((4, 10, 10, 3), np.uint8)}, "divisible by 4"),
        ({"train_images": np.zeros((4, 8, 8, 3), np.float32)}, "uint8"),
        ({"train_images": np.zeros((4, 8, 8, 6), np.uint8)[..., ::2]}, "contiguous"),
        ({"test_images": np.zeros((2, 12, 12, 3), np.uint8)}, "one size"),
        ({"train_labels": np.array([0, 1, 2, 1])}, "from 0 to 1"),
        ({"train_labels": np.array([0, 1, -1, 1])}, "from 0 to 1"),
        ({"train_labels": np.array([0, 1, 1])}, "int64"),
        ({"test_labels": np.array([1, 1])}, "class a has no image"),
        ({"classes": ("a", "b", "c")}, "class c has no image"),
        ({"classes": ("a", "a")}, "two different classes"),
        ({"train_images": np.zeros((0, 8, 8, 3), np.uint8), "train_labels": np.zeros(0, np.int64)}, "no image"),
    ],
)
def test_a_dataset_checks_itself(changes, word):
    with pytest.raises(DataError, match=word):
        dataset(**changes)


def test_channel_statistics_are_exact():
    images = np.zeros((2, 2, 2, 3), np.uint8)
    images[0, :, :, 0], images[0, :, :, 1], images[0, :, :, 2] = 255, 51, 102
    mean, std = channel_statistics(images)
    assert mean == (0.5, 0.1, 0.2) and std == (0.5, 0.1, 0.2)
    many = stream(0, "test").integers(0, 256, (3000, 8, 8, 3), dtype=np.uint8)
    want = (many / 255).reshape(-1, 3)
    np.testing.assert_allclose(channel_statistics(many), (want.mean(0), want.std(0)), rtol=1e-12)
    with pytest.raises(DataError, match="channel G"):
        channel_statistics(images * np.array([1, 0, 1], np.uint8))


def test_cifar_is_normalised_with_its_true_statistics():
    for file in ("cifar10.yaml", "cifar10_jpeg.yaml"):
        config = OmegaConf.load(CONF / file)
        assert config.mean == [0.4914, 0.4822, 0.4465]
        assert config.std == [
            0.2470,
            0.2435,
            0.2616,
        ]  # .2023 .1994 .2010, often seen, are means of per-image deviations


# --- evaluation subsets ---


def subset(**changes) -> np.ndarray:
    keywords = {"mode": "paper", "images": 6000, "available": 10_000, "study_seed": 0, "trial": 0}
    return evaluation_subset(**keywords | changes)


def test_subsets_are_drawn_from_named_streams():
    paper = subset()
    assert paper.dtype == np.int64 and len(paper) == 6000 and np.all(np.diff(paper) > 0) and paper[-1] < 10_000
    assert paper[:8].tolist() == [1, 4, 5, 6, 7, 8, 11, 12]
    assert subset(trial=1)[:8].tolist() == [0, 3, 6, 7, 8, 9, 11, 17]
    assert subset(mode="fixed")[:8].tolist() == [2, 4, 5, 8, 9, 11, 12, 13]
    assert np.array_equal(subset(mode="fixed"), subset(mode="fixed", trial=7))
    assert np.array_equal(subset(mode="all", images=3), np.arange(10_000))
    draws = [redrawn_subset(images=6000, available=10_000, study_seed=0, draw=draw, trial=0) for draw in range(3)]
    assert len({draw.tobytes() for draw in (*draws, paper, subset(study_seed=1), subset(mode="fixed"))}) == 6
    assert np.array_equal(subset(images=10_000), np.arange(10_000))


@pytest.mark.parametrize(
    "changes", [{"mode": "best"}, {"images": 0}, {"images": 10_001}, {"mode": "fixed", "images": -1}]
)
def test_impossible_subsets_are_refused(changes):
    with pytest.raises(ConfigError, match="evaluation"):
        subset(**changes)


def test_held_out_images_are_the_trials_own_and_none_is_trained_on():
    chosen = held_out(images=6000, pooled=60_000, study_seed=0, trial=0)
    assert chosen.dtype == np.int64 and len(np.unique(chosen)) == 6000 and np.all(np.diff(chosen) > 0)
    assert chosen[0] >= 0 and chosen[-1] < 60_000 and (chosen >= 50_000).any() and (chosen < 50_000).any()
    others = [held_out(images=6000, pooled=60_000, study_seed=seed, trial=trial) for seed, trial in ((0, 1), (1, 0))]
    assert len({draw.tobytes() for draw in (chosen, *others)}) == 3
    assert np.array_equal(chosen, held_out(images=6000, pooled=60_000, study_seed=0, trial=0))
    assert np.array_equal(subset(mode="heldout", available=6000), np.arange(6000))
    with pytest.raises(ConfigError, match="evaluation.images=60"):
        held_out(images=60, pooled=60, study_seed=0, trial=0)
    one = dataset(classes=("a", "b"), test_labels=np.array([0, 1]))
    own = one.held_out(np.array([1, 4]))
    pooled = np.concatenate([one.train_images, one.test_images])
    assert np.array_equal(own.test_images, pooled[[1, 4]]) and np.array_equal(own.train_images, pooled[[0, 2, 3, 5]])
    assert own.test_labels.tolist() == [1, 0] and own.train_labels.tolist() == [0, 0, 1, 1]
    assert one.held_out(np.array([0, 2])).test_labels.tolist() == [0, 0]
    with pytest.raises(DataError, match="train part: class b has no image"):
        one.held_out(np.array([1, 3, 5]))


def test_reading_records_needs_no_torch():
    code = "import hybridsep.data.subset, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- synthetic ---


def values() -> dict:
    source = OmegaConf.load(CONF / "synthetic.yaml").source
    return {key: value for key, value in source.items() if key != "_target_"}


@pytest.fixture(scope="module")
def drawn() -> Dataset:
    return synthetic.load(**values() | {"train": 3000, "test": 2000})


def test_synthetic_images_are_a_function_of_their_config():
    few = values() | {"train": 40, "test": 20}
    one = synthetic.load(**few)
    assert one.sha256 == synthetic.load(**few).sha256 == GOLDEN
    for key, value in {"seed": 1, "contrast": 0.1, "noise": 0.2, "distractors": 1, "side": 16}.items():
        assert synthetic.load(**few | {key: value}).sha256 != one.sha256, key
    assert np.array_equal(one.test_images, synthetic.load(**few | {"train": 50}).test_images)
    assert np.bincount(one.train_labels).tolist() == [4] * 10 and len(one.classes) == 10


GOLDEN = (
    "bed27181a32c3f1c20e18d9af0b6d4b5227e33b5abacbb1256090e2bfc2f96bf"  # the same with and without AVX2 and AVX-512
)


def chance_of(features: np.ndarray, labels: np.ndarray, unseen: np.ndarray, truth: np.ndarray) -> float:
    """Accuracy of a ridge classifier on features (N, D)."""
    centre = features.mean(0)
    x, targets = features - centre, np.eye(10)[labels] - 0.1
    weights = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ targets)
    return float(((unseen - centre) @ weights).argmax(1).__eq__(truth).mean())


def test_neither_pixels_nor_colours_tell_the_class(drawn):
    half = drawn.train_images[:, ::2, ::2], drawn.test_images[:, ::2, ::2]  # 768 features, fewer than images
    flat, colour = ([part.reshape(len(part), -1) / 255 for part in half], [p.mean((1, 2)) / 255 for p in half])
    for features, unseen in (flat, colour):
        assert chance_of(features, drawn.train_labels, unseen, drawn.test_labels) < 0.14


def test_patterns_and_channels_are_both_needed_and_survive_a_flip(drawn):
    """A detector written by hand: energy at each orientation, of the colour differences. Chance is 10 %."""

    rows, columns = np.abs(np.fft.fftfreq(32))[:, None] * 32, np.arange(17)[None]
    radius, angle = np.hypot(rows, columns), np.degrees(np.arctan2(rows, columns))
    sectors = [(radius > 4) & (radius < 9) & (angle >= low) & (angle < low + 15) for low in range(0, 91, 15)]

    def energies(images: np.ndarray, mixes: tuple[tuple[int, ...], ...]) -> np.ndarray:
        power = [np.abs(np.fft.rfft2(images @ np.array(mix) / 255)) ** 2 for mix in mixes]
        return np.stack([np.log(bands[:, sector].sum(1)) for bands in power for sector in sectors], 1)

    def accuracy(mixes, mirrored: bool = False) -> float:
        unseen = drawn.test_images[:, :, ::-1] if mirrored else drawn.test_images
        features = energies(drawn.train_images, mixes)
        return chance_of(features, drawn.train_labels, energies(unseen, mixes), drawn.test_labels)

    differences = ((1, -1, 0), (0, 1, -1), (1, 0, -1))
    assert accuracy(differences) > 0.4
    assert accuracy(differences, mirrored=True) > accuracy(differences) - 0.03
    assert accuracy(((1, 0, 0), (0, 1, 0), (0, 0, 1))) < accuracy(differences) - 0.15


@pytest.mark.parametrize(
    "changes",
    [{"train": 9}, {"test": 0}, {"side": 30}, {"side": 12}, {"noise": 1.5}, {"contrast": "much"}, {"seed": 0.5}],
)
def test_synthetic_refuses_values_out_of_range(changes):
    with pytest.raises(ConfigError, match=f"data.source.{next(iter(changes))}="):
        check_keywords(synthetic.load, values() | changes, "data.source")


# --- imagefolder ---


@pytest.mark.parametrize("suffix, mode", [("tar", "w"), ("tar.gz", "w:gz"), ("tar.xz", "w:xz"), ("odd", "w:bz2")])
@pytest.mark.parametrize("top", ["", "things/", "./"])
def test_a_directory_and_a_tar_give_the_same_arrays(tmp_path, suffix, mode, top):
    files = {top + name: data for name, data in small().items()}
    noise = {f"{top}.DS_Store": b"", f"{top}train/a/._0.png": b"", f"{top}README.md": b"", f"{top}train/.x/y": b""}
    packed = write_tar(tmp_path / f"some.{suffix}", dict(reversed(files.items())) | noise, mode)
    one, other = load(packed), load(write_folder(tmp_path / "some", files | noise))
    assert one.sha256 == other.sha256 and one.classes == ("a", "b")
    assert one.train_labels.tolist() == [0, 0, 0, 1, 1, 1] and one.test_labels.tolist() == [0, 1]
    for number in range(3):
        assert np.array_equal(one.train_images[number], np.array(pixels(number)))


def test_grey_and_palette_images_become_rgb(tmp_path):
    files = small() | {
        "train/a/grey.png": encoded(pixels(1, mode="L")),
        "train/a/palette.png": encoded(pixels(2, mode="P")),
    }
    found = load(write_tar(tmp_path / "some.tar", files))
    assert np.array_equal(found.train_images[3], np.array(pixels(1, mode="L").convert("RGB")))
    assert np.array_equal(found.train_images[4], np.array(pixels(2, mode="P").convert("RGB")))


def test_images_are_decoded_once(tmp_path, capfd, monkeypatch):
    packed, cache = write_tar(tmp_path / "some.tar", small()), tmp_path / "cache"
    first = load(packed)
    assert capfd.readouterr().err == f"decoding {packed}\n"
    assert [file.suffix for file in cache.iterdir()] == [".npz"]
    monkeypatch.setattr(imagefolder, "decode", None)
    assert load(packed).sha256 == first.sha256 and capfd.readouterr().err == ""


def test_a_changed_source_is_decoded_anew(tmp_path):
    files = small()
    packed, folder = write_tar(tmp_path / "some.tar", files), write_folder(tmp_path / "some", files)
    before = load(packed), load(folder)
    files["train/a/1.png"] = encoded(pixels(99))
    after = load(write_tar(packed, files)), load(write_folder(folder, files))
    assert before[0].sha256 == before[1].sha256 != after[0].sha256 == after[1].sha256


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "pickle", "other"])
def test_a_damaged_cache_is_rebuilt_and_said_aloud(tmp_path, capfd, damage):
    packed = write_tar(tmp_path / "some.tar", small())
    first = load(packed)
    (stored,) = (tmp_path / "cache").iterdir()
    whole = stored.read_bytes()
    if damage == "flip":
        place = whole.index(first.train_images.tobytes()) + 100
        stored.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    elif damage == "other":  # a sound file that says something else about itself
        np.savez(stored, **{**np.load(stored), "sha256": np.array("0" * 64)})
    elif damage == "pickle":
        np.savez(stored, **{**np.load(stored), "classes": np.array([Bomb(tmp_path), None], dtype=object)})
    else:
        stored.write_bytes(whole[: len(whole) // 2] if damage == "truncate" else b"")
    capfd.readouterr()
    assert load(packed).sha256 == first.sha256
    assert "is damaged" in capfd.readouterr().err and not (tmp_path / "exploded").exists()
    assert list((tmp_path / "cache").iterdir()) == [stored] and stored.read_bytes() == whole


def test_a_partial_file_of_a_killed_run_is_overwritten(tmp_path):
    packed = write_tar(tmp_path / "some.tar", small())
    load(packed)
    (stored,) = (tmp_path / "cache").iterdir()
    stored.rename(stored.with_suffix(".partial"))
    load(packed)
    assert list((tmp_path / "cache").iterdir()) == [stored]


def test_a_full_disk_costs_the_cache_only(tmp_path, capfd):
    packed = write_tar(tmp_path / "some.tar", small())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        found = load(packed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(found.train_images) == 6 and "cannot keep" in capfd.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_made_costs_the_cache_only(tmp_path, capfd):
    packed = write_tar(tmp_path / "some.tar", small())
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(load(packed).train_images) == 6 and "cannot keep" in capfd.readouterr().err


@pytest.mark.slow
def test_the_jpeg_copy_of_cifar10_loads_where_it_is_present(tmp_path):
    packed = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpeg.tar.xz"
    if not packed.exists():
        pytest.skip("no JPEG copy of CIFAR-10 beside the checkout")
    found = load(packed, tmp_path)
    assert found.train_images.shape == (50_000, 32, 32, 3) and np.all(np.bincount(found.train_labels) == 5000)
    assert found.test_images.shape == (10_000, 32, 32, 3) and np.all(np.bincount(found.test_labels) == 1000)
    assert found.classes[:3] == ("airplane", "automobile", "bird")
    mean, std = channel_statistics(found.train_images)
    np.testing.assert_allclose((mean, std), [[0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]], atol=0.003)


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_labels_corrected_on_the_disk_are_seen(tmp_path):
    """Two files of one size and one time change places: what is trained on is what lies there."""
    files = {name: encoded(pixels(number), "BMP") for number, name in enumerate(small())}
    folder = write_folder(tmp_path / "some", files)
    for path in folder.rglob("*.png"):
        os.utime(path, (1, 1))
    before = load(folder)
    one, other = folder / "train/a/0.png", folder / "train/b/0.png"
    swapped = other.read_bytes(), one.read_bytes()
    for path, data in zip((one, other), swapped, strict=True):
        path.write_bytes(data)
        os.utime(path, (1, 1))
    after = load(folder)
    assert np.array_equal(after.train_images[0], before.train_images[3]) and after.sha256 != before.sha256


def test_images_that_change_while_they_are_read_are_not_kept(tmp_path, monkeypatch):
    folder, done = write_folder(tmp_path / "some", small()), []

    def slow(data, **options):
        if not done:
            (folder / "train/a/0.png").write_bytes(encoded(pixels(99)))
        done.append(data)
        return decode(data, **options)

    monkeypatch.setattr(imagefolder, "decode", slow)
    refused(folder, "changed while it was read")
    assert np.array_equal(load(folder).train_images[0], np.array(pixels(99)))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_archives_one_after_the_other_are_read_to_the_end(tmp_path, mode):
    halves = [dict(list(small().items())[::2]), dict(list(small().items())[1::2])]
    content = b"".join(write_tar(tmp_path / "half.tar", half, mode).read_bytes() for half in halves)
    (tmp_path / "all.tar").write_bytes(content)
    assert load(tmp_path / "all.tar").sha256 == load(write_tar(tmp_path / "right.tar", small())).sha256
    for garbage in (b"\1" * 700, bytes(600) + b"more", b"x"):
        (tmp_path / "all.tar").write_bytes(content + garbage)
        refused(tmp_path / "all.tar", "all.tar cannot be read")
    (tmp_path / "all.tar").write_bytes(content + write_tar(tmp_path / "half.tar", halves[0], mode).read_bytes())
    refused(tmp_path / "all.tar", "comes twice")


def test_a_zip_is_read_as_a_tar_is(tmp_path):
    files = {f"things/{name}": data for name, data in small().items()}
    whole = write_zip(tmp_path / "some.zip", files | {"things/Thumbs.db": b"", "__MACOSX/x": b""})
    assert load(whole).sha256 == load(write_tar(tmp_path / "some.tar", files)).sha256
    content = whole.read_bytes()
    for other in (content + b"more", b"more" + content, content + content, content[:-30], content[: len(content) // 2]):
        (tmp_path / "other.zip").write_bytes(other)
        refused(tmp_path / "other.zip", "other.zip")
    flipped = bytearray(content)
    flipped[content.index(b"IDAT") + 9 if b"IDAT" in content else 60] ^= 1
    (tmp_path / "other.zip").write_bytes(flipped)
    refused(tmp_path / "other.zip", "other.zip")


def test_a_zip_that_means_harm_is_refused(tmp_path, monkeypatch):
    for name in ("../x.png", "/train/a/x.png", "train/x.png", "train/a/0.png"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile warns of a name that comes twice
            packed = tmp_path / "some.zip"
            with zipfile.ZipFile(packed, "w") as archive_:
                for known, data in [*small().items(), (name, encoded(pixels(0)))]:
                    archive_.writestr(known, data)
        refused(packed, Path(name).name)
    linked = zipfile.ZipInfo("train/a/x.png")
    linked.external_attr = 0o120777 << 16
    with zipfile.ZipFile(packed, "w") as archive_:
        archive_.writestr(linked, "/etc/passwd")
    refused(packed, "train/a/x.png", "link, device")
    big = write_zip(tmp_path / "big.zip", small() | {"train/a/x.png": bytes(imagefolder._MAX_FILE + 1)})
    refused(big, "train/a/x.png", "data.side=32")
    monkeypatch.setattr(archive, "MAX_TOTAL", 1 << 10)
    refused(big, "the archive holds more than")


def test_what_is_not_read_is_named(tmp_path, capfd):
    more = {"train/a/Thumbs.db": b"", "val/a/0.png": b"", "README.md": b"", "train/.DS_Store": b"", "@eaDir/x": b""}
    for path in (write_folder(tmp_path / "some", small() | more), write_tar(tmp_path / "some.tar", small() | more)):
        load(path)
        (line,) = (line for line in capfd.readouterr().err.splitlines() if "not read" in line)
        for name in ("README.md", "val/", "train/a/Thumbs.db", "train/.DS_Store", "@eaDir"):
            assert name in line
        assert "val/a" not in line


def test_missing_parts_and_empty_classes_are_named(tmp_path):
    files, folder = small(), write_folder(tmp_path / "some", small())
    for part in ("train", "test"):
        (folder / part / "empty").mkdir()
    refused(folder, "class empty has no image")
    for name, other in (("test", "val"), ("train", "Train")):
        renamed = {key.replace(f"{name}/", f"{other}/"): data for key, data in files.items()}
        for path in (write_folder(tmp_path / other, renamed), write_tar(tmp_path / f"{other}.tar", renamed)):
            refused(path, f"no {name}/ in it", f"there is {other}/")
    odd = {"train/c/0.png": encoded(pixels(5)), "test/d/0.png": encoded(pixels(6)), "test/e/0.png": b""}
    refused(write_folder(tmp_path / "odd", files | odd), "test/e/0.png cannot be decoded")
    odd["test/e/0.png"] = odd["test/d/0.png"]
    refused(write_folder(tmp_path / "odd", files | odd), "only in train/ c", "only in test/ d, e")


# --- images as people have them ---


def test_images_of_any_size_are_made_squares(tmp_path):
    wide = Image.fromarray(stream(7, "test").integers(0, 256, (48, 64, 3), dtype=np.uint8))
    files = {"train/a/wide.JPG": encoded(wide), "train/a/tall.PNG": encoded(wide.rotate(90, expand=True))}
    files |= {name: encoded(pixels(number, 600 + number)) for number, name in enumerate(small())}
    refused(write_folder(tmp_path / "some", files), "data.side=32")
    found = imagefolder.load(path=tmp_path / "some", cache=tmp_path / "cache", name="n", title="t", resize=16)
    assert found.train_images.shape == (8, 16, 16, 3)
    want = np.array(wide.crop((8, 0, 56, 48)).resize((16, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(found.train_images[4], want)  # a/0, a/1, a/2, a/tall, a/wide
    other = imagefolder.load(path=tmp_path / "some", cache=tmp_path / "cache", name="n", title="t", resize=8)
    assert other.train_images.shape == (8, 8, 8, 3) and len(list((tmp_path / "cache").iterdir())) == 2


def test_images_are_turned_upright_where_they_are_resized():
    lying = pixels(0)
    about = Image.Exif()
    about[0x0112] = 6  # to be turned by a quarter
    data = encoded(lying, exif=about)
    assert np.array_equal(decode(data, name="x", resize=None).pixels, np.array(lying))
    assert np.array_equal(decode(data, name="x", resize=8).pixels, np.array(lying.rotate(-90)))


def test_transparency_is_laid_onto_white_and_said_once(tmp_path, capfd):
    clear = pixels(0, mode="RGBA")
    clear.putalpha(0)
    files = small() | {"train/a/clear.png": encoded(clear), "train/b/solid.png": encoded(pixels(1, mode="RGBA"))}
    found = load(write_tar(tmp_path / "some.tar", files))
    assert found.train_images[3].min() == 255 and np.array_equal(found.train_images[7], np.array(pixels(1)))
    said = capfd.readouterr().err
    assert said.count("laid onto white") == 1 and "2" in said.splitlines()[-1]
    palette = encoded(pixels(0, mode="P"), transparency=0)
    assert decode(palette, name="x", resize=None).transparent


def test_a_part_of_the_training_images_can_be_held_out(tmp_path):
    files = {f"train/{label}/{n}.png": encoded(pixels(100 * n + ord(label))) for label in "ab" for n in range(10)}
    folder = write_folder(tmp_path / "some", files)
    options = {"path": folder, "cache": tmp_path / "cache", "name": "n", "title": "t"}
    found = imagefolder.load(**options, hold_out=0.2)
    assert np.bincount(found.train_labels).tolist() == [8, 8] and np.bincount(found.test_labels).tolist() == [2, 2]
    together = {image.tobytes() for image in (*found.train_images, *found.test_images)}
    assert len(together) == 20 and imagefolder.load(**options, hold_out=0.2).sha256 == found.sha256
    with pytest.raises(DataError, match="too few for data.split=0.96"):
        imagefolder.load(**options, hold_out=0.96)
    write_folder(folder, {"test/a/0.png": encoded(pixels(0)), "test/b/0.png": encoded(pixels(0))})
    with pytest.raises(DataError, match="data.split=0.2 is for images without test/"):
        imagefolder.load(**options, hold_out=0.2)


def test_decoding_in_threads_keeps_the_order(tmp_path, monkeypatch):
    monkeypatch.setattr(imagefolder, "_CHUNK", 3)
    many = {
        f"{part}/{label}/{n:02d}.png": encoded(pixels(n))
        for part in ("train", "test")
        for label in "ab"
        for n in range(20)
    }
    packed, found = write_tar(tmp_path / "some.tar", many), []
    for cores in (1, 4):
        monkeypatch.setattr(imagefolder.machine, "cores", lambda cores=cores: cores)
        found.append(load(packed, tmp_path / f"cache{cores}"))
    assert found[0].sha256 == found[1].sha256
    assert all(np.array_equal(found[0].train_images[n], np.array(pixels(n % 20))) for n in range(40))


# --- archives that mean harm ---


def link(kind: bytes, name: str = "train/a/x.png", target: str = "/etc/passwd") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "name",
    ["../x.png", "/train/a/x.png", "train/a/../../../x.png", "a/..", "train/a/new\nline.png", "train/\x1b[2J/x.png"]
    + ["train/x.png", "train/a/b/x.png", "top/train/a/x.png", "train/a/0.png", "./train/a/0.png", "train/c/x.png"],
)
def test_hostile_and_misplaced_names_are_refused(tmp_path, name):
    packed = write_tar(tmp_path / "some.tar.gz", small(), "w:gz")
    with tarfile.open(packed, "w:gz") as tar:
        for known, data in [*small().items(), (name, encoded(pixels(0)))]:
            member = tarfile.TarInfo(known)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    refused(packed)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, b"?"]
)
def test_links_and_devices_are_refused_wherever_they_are(tmp_path, kind):
    for name in ("train/a/x.png", "elsewhere"):
        packed = write_tar(tmp_path / "some.tar", small(), extra=(link(kind, name),))
        if kind != b"?":  # an unknown kind is a file, and this one is empty
            refused(packed, name, "link, device")
    if kind == b"?":
        refused(write_tar(tmp_path / "some.tar", small(), extra=(link(kind),)), "train/a/x.png")


def test_too_much_is_refused(tmp_path, monkeypatch):
    big = tarfile.TarInfo("train/a/big.png")
    big.size = imagefolder._MAX_FILE + 1
    refused(write_tar(tmp_path / "some.tar.xz", small(), "w:xz", (big,)), "big.png", str(imagefolder._MAX_FILE))
    packed, folder = write_tar(tmp_path / "some.tar", small()), write_folder(tmp_path / "some", small())
    monkeypatch.setattr(archive, "MAX_FILES", 7)
    refused(packed, "more than 7 members")
    refused(folder, "8 files, allowed are 7")
    monkeypatch.setattr(archive, "MAX_FILES", 8)
    monkeypatch.setattr(archive, "MAX_TOTAL", 4 << 10)
    refused(packed, "the archive holds more than")
    monkeypatch.setattr(imagefolder, "_MAX_DECODED", 5 * 8 * 8 * 3)
    refused(folder, "fit in memory")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_bomb_in_an_extended_header_is_refused_before_it_is_read(tmp_path, kind):
    member = tarfile.TarInfo("longname")
    member.type, member.size = kind, 1 << 40
    data = zlib.compress(member.tobuf(tarfile.GNU_FORMAT), wbits=31)
    (tmp_path / "some.tar").write_bytes(data)
    refused(tmp_path / "some.tar", "header of 1099511627776 bytes")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_truncated_archive_is_never_a_smaller_dataset(tmp_path, mode):
    whole = write_tar(tmp_path / "some.tar", small(), mode).read_bytes()
    end = len(whole.rstrip(b"\0")) if mode == "w" else len(whole)
    for cut in {0, 1, 100, 512, 1024, end // 2 // 512 * 512, end // 2, end // 512 * 512, end - 1}:
        (tmp_path / "some.tar").write_bytes(whole[:cut])
        refused(tmp_path / "some.tar", "some.tar")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_flipped_bytes_end_in_an_error_or_a_right_result(tmp_path, data):
    mode = data.draw(st.sampled_from(["w", "w:gz", "w:xz"]))
    packed = tmp_path / "some.tar"
    whole = bytearray(write_tar(packed, small(), mode).read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    packed.write_bytes(whole)
    with contextlib.suppress(DataError):
        assert len(load(packed, tmp_path / "cache").classes) >= 2


TEXT = st.text(st.characters(exclude_categories=[]), max_size=12)
PIECE = st.one_of(
    st.sampled_from(["train", "test", "a", "b", "..", ".", "", "x.png", "/", "~", "C:", "\\", "\0"]), TEXT
)


@settings(max_examples=1000, deadline=None)
@given(st.lists(PIECE, max_size=6).map("/".join))
def test_any_name_is_placed_or_refused(name):
    with contextlib.suppress(DataError):
        found = layout.Contents().add(name)
        if found is not None:
            assert found.part in ("train", "test") and found.label and found.file
            for piece in found:
                assert piece.isprintable() and "/" not in piece and not piece.startswith(".")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECE, min_size=1, max_size=6).map("/".join))
def test_any_member_name_in_a_real_tar(tmp_path, name):
    packed = tmp_path / "some.tar"
    try:
        write_tar(packed, small() | {name: encoded(pixels(0))})
    except (ValueError, UnicodeError):
        return  # not even tarfile writes this one
    with contextlib.suppress(DataError):
        found = load(packed, tmp_path / "cache")
        assert found.classes == ("a", "b") and len(found.train_images) + len(found.test_images) in (8, 9)
    assert {item.name for item in tmp_path.iterdir()} <= {"some.tar", "cache"}


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x1f\x8b", b"\xfd7zXZ\0", bytes(10_240)])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "some.tar").write_bytes(content)
    refused(tmp_path / "some.tar", "some.tar")


def test_missing_and_incomplete_sources_are_refused(tmp_path):
    refused(tmp_path / "absent.tar.xz", "absent.tar.xz does not exist")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no train/CLASS/FILE and no test/CLASS/FILE in it")
    only = {name: data for name, data in small().items() if name.startswith("train")}
    refused(write_folder(tmp_path / "half", only), "no test/ in it", "data.split=0.2")
    refused(write_folder(tmp_path / "odd", small() | {"train/c/0.png": encoded(pixels(5))}), "but only in train/ c")
    refused(write_folder(tmp_path / "flat", small() | {"train/x.png": b""}), "x.png is in no class folder")
    refused(write_folder(tmp_path / "deep", small() | {"train/a/d/x.png": b""}), "not a regular file")
    os.mkfifo(tmp_path / "deep.fifo")
    refused(tmp_path / "deep.fifo", "neither a directory nor a file")
    two = {f"{top}/{name}": data for top in ("x", "y") for name, data in small().items()}
    refused(write_folder(tmp_path / "two", two), "not several: x, y")
    with pytest.raises(DataError, match="data.path is empty"):
        imagefolder.load(path="", cache=tmp_path, name="n", title="t")


# --- images that mean harm ---


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + end


BAD_IMAGES = {
    "text": (b"not an image", "not an image"),
    "empty": (b"", "not an image"),
    "half-png": (encoded(pixels(0))[:120], "cannot be decoded"),
    "half-jpeg": (encoded(pixels(0), "JPEG")[:-40], "truncated"),
    "no-rows": (png(8, 8), "cannot be decoded"),
    "bomb": (png(60_000, 60_000, rows=bytes(1000)), "exceeds limit"),
    "bomb-that-pillow-only-warns-of": (png(12_000, 12_000), "exceeds limit"),
    "huge": (png(4096, 4096), "4096 x 4096"),
    "cmyk": (encoded(pixels(0, mode="CMYK"), "JPEG"), "CMYK"),
    "16-bit-grey": (encoded(Image.fromarray(np.zeros((8, 8), np.uint16))), "I;16"),
    "16-bit-rgb": (png(8, 8, depth=16, rows=bytes(8 * 49)), "16 bits"),
    "16-bit-ppm": (b"P6 8 # eight\n8\n65535\n" + bytes(384), "16 bits"),
    "10-bit-ppm": (b"P6\n8 8\n1023\n" + bytes(384), "10 bits"),
    "16-bit-pgm": (b"P5\n8 8\n65535\n" + bytes(128), "mode I"),
    "gif": (encoded(pixels(0), "GIF"), "not an image"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not an image"),
    "animated": (encoded(pixels(0), save_all=True, append_images=[pixels(1)]), "2 frames"),
    "not-square": (encoded(pixels(0).crop((0, 0, 8, 4))), "8 x 4"),
    "other-size": (encoded(pixels(0, side=12)), "12 x 12"),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_bad_images_are_refused_by_name(tmp_path, kind):
    data, word = BAD_IMAGES[kind]
    files = small() | {"train/b/bad one.png": data}
    refused(write_tar(tmp_path / "some.tar", files), "train/b/bad one.png", word)
    refused(write_folder(tmp_path / "some", files), "train/b/bad one.png", word)


def test_one_size_must_be_one_that_fits_the_network(tmp_path):
    refused(write_tar(tmp_path / "some.tar", small(side=10)), "divisible by 4")


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_bytes_are_an_image_or_refused(data):
    sound = data.draw(
        st.sampled_from([b"", *(encoded(pixels(0), form) for form in ("PNG", "JPEG", "BMP", "PPM", "WEBP"))])
    )
    damaged = bytearray(sound or data.draw(st.binary(max_size=200)))
    for place in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=6)) if damaged else []:
        damaged[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    with contextlib.suppress(DataError), warnings.catch_warnings():
        warnings.simplefilter("error")
        resize = data.draw(st.sampled_from([None, 8]))
        found = decode(bytes(damaged[:cut] if data.draw(st.booleans()) else damaged), name="x", resize=resize).pixels
        assert found.shape == (len(found), len(found), 3) and found.dtype == np.uint8
        assert resize is None or len(found) == resize


# --- cifar10 ---


class Bomb:
    """An object whose unpickling leaves a file behind."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return Path.touch, (self.folder / "exploded",)


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
    with pytest.raises(DataError) as caught:
        cifar10.load(root=root, download=download)
    message = str(caught.value)
    assert "\n" not in message and not root.parent.exists()
    for word in (str(root), "cifar-10-python.tar.gz", "data=imagefolder data.path=", "data=synthetic"):
        assert word in message
    assert ("no route to host" in message) == download


@pytest.mark.parametrize("file", ["data_batch_2", "test_batch", "batches.meta"])
@pytest.mark.parametrize("download", [True, False])
def test_a_changed_batch_is_never_unpickled(tmp_path, original, file, download):
    from torchvision.datasets import CIFAR10

    root = tmp_path / "data"
    write_folder(root, {"cifar-10-python.tar.gz": original.read_bytes()})
    cifar10.load(root=root, download=False)
    (root / "cifar-10-python.tar.gz").write_bytes(pickle.dumps(Bomb(tmp_path)))
    (root / CIFAR10.base_folder / file).write_bytes(pickle.dumps(Bomb(tmp_path)))
    with pytest.raises(DataError, match="no CIFAR-10 in"):
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
    with pytest.raises(ConfigError, match="true or false"):
        check_keywords(cifar10.load, {"root": str(tmp_path), "download": "maybe"}, "data.source")
