"""Decoded images are kept, seen to be current, and never a reason to stop."""

import os
import resource

import numpy as np
import pytest
from made_images import Bomb, encoded, load, pixels, refused_source, small, write_folder, write_tar
from refusals import names

from hybridsep.data import imagefolder
from hybridsep.data.images import decode


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
    assert names(capfd.readouterr().err, str(stored)) and not (tmp_path / "exploded").exists()
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
    assert len(found.train_images) == 6 and names(capfd.readouterr().err, str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_made_costs_the_cache_only(tmp_path, capfd):
    packed = write_tar(tmp_path / "some.tar", small())
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(load(packed).train_images) == 6 and names(capfd.readouterr().err, str(tmp_path / "cache"))


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
    refused_source(folder, "changed while it was read")
    assert np.array_equal(load(folder).train_images[0], np.array(pixels(99)))
