"""Somebody's own images, by the command that they type."""

import os
from pathlib import Path

import numpy as np
import pytest
from made_images import encoded, load, pixels, refused_source, small, write_folder, write_tar
from made_runs import read_record
from PIL import Image
from refusals import check_refused, refused

from hybridsep.data import channel_statistics, imagefolder
from hybridsep.data.images import decode
from hybridsep.errors import DataError
from hybridsep.runs.seeds import stream

WORDS = ("data=imagefolder", "size=tiny", "schedule=short", "schedule.epochs=1", "schedule.warmup_epochs=0")
WORDS += ("schedule.batch_size=8", "threads=1", "precision=float32", "study=own")


def photographs(folder: Path, side: tuple[int, int], parts: tuple[str, ...] = ("train", "test")) -> Path:
    for number, (part, label) in enumerate((part, label) for part in parts for label in "ab"):
        (folder / part / label).mkdir(parents=True)
        for image in range(10):
            values = stream(number, "test", image).integers(0, 256, (*side, 3), dtype=np.uint8)
            Image.fromarray(values).save(folder / part / label / f"{image}.PNG")
    return folder


def test_photographs_of_any_size_are_trained_on_as_the_refusals_say(run, tmp_path):
    folder = photographs(tmp_path / "photos", (48, 64), ("train",))
    words = [*WORDS, f"data.path={folder}"]
    check_refused(run(*words), "data.side=32", notice="decoding ")
    check_refused(run(*words, "data.side=32"), "test/", "data.split=0.2", notice="decoding ")
    status, said = run(*words, "data.side=32", "data.split=0.2")
    assert status == 0, said
    record = read_record(tmp_path / "results/runs/own/separable/trial-00")
    assert record["config"]["data"]["side"] == 32 and record["config"]["data"]["split"] == 0.2
    assert [record["dataset"][key] for key in ("train", "test", "height")] == [16, 4, 32]
    # Another size is another run.
    check_refused(run(*words, "data.side=16", "data.split=0.2"), "data.side 32 -> 16", notice="decoding ")
    assert sorted(path.name for path in (tmp_path / "results/runs").iterdir()) == ["own"]


def test_images_that_are_not_there_are_refused_before_anything_is_written(run, tmp_path):
    check_refused(run("data=imagefolder", "data.path=nowhere"), key="data.path=nowhere")
    assert not any(tmp_path.iterdir())


def test_a_batch_of_one_small_image_is_refused_before_any_trial(run, tmp_path):
    words = [*WORDS, f"data.path={photographs(tmp_path / 'small', (8, 8))}"]
    check_refused(run(*words, "schedule.batch_size=1"), "8 x 8", key="schedule.batch_size=1", notice="decoding ")
    assert not (tmp_path / "results").exists()


def test_other_arithmetic_names_the_precision_that_goes_on(run, tmp_path):
    words = [*WORDS, f"data.path={photographs(tmp_path / 'small', (8, 8))}"]
    assert run(*words)[0] == 0
    check_refused(run(*words, "precision=bfloat16"), "precision float32 -> bfloat16", "precision=float32")


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
    refused_source(folder, "train/empty")
    for name, other in (("test", "val"), ("train", "Train")):
        renamed = {key.replace(f"{name}/", f"{other}/"): data for key, data in files.items()}
        for path in (write_folder(tmp_path / other, renamed), write_tar(tmp_path / f"{other}.tar", renamed)):
            refused_source(path, f"{name}/", f"{other}/")
            assert ("must be called in lower case" in refused_source(path)) == (other == "Train")
    odd = {"train/c/0.png": encoded(pixels(5)), "test/d/0.png": encoded(pixels(6)), "test/e/0.png": b""}
    refused_source(write_folder(tmp_path / "odd", files | odd), "test/e/0.png")
    odd["test/e/0.png"] = odd["test/d/0.png"]
    refused_source(write_folder(tmp_path / "odd", files | odd), "only in train/ c", "only in test/ d, e")


def test_images_of_any_size_are_made_squares(tmp_path):
    wide = Image.fromarray(stream(7, "test").integers(0, 256, (48, 64, 3), dtype=np.uint8))
    files = {"train/a/wide.JPG": encoded(wide), "train/a/tall.PNG": encoded(wide.rotate(90, expand=True))}
    files |= {name: encoded(pixels(number, 600 + number)) for number, name in enumerate(small())}
    refused_source(write_folder(tmp_path / "some", files), "data.side=32")
    found = imagefolder.load(path=tmp_path / "some", cache=tmp_path / "cache", name="n", title="t", resize=16)
    assert found.train_images.shape == (8, 16, 16, 3)
    want = np.array(wide.crop((8, 0, 56, 48)).resize((16, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(found.train_images[4], want)  # a/0, a/1, a/2, a/tall, a/wide
    other = imagefolder.load(path=tmp_path / "some", cache=tmp_path / "cache", name="n", title="t", resize=8)
    assert other.train_images.shape == (8, 8, 8, 3) and len(list((tmp_path / "cache").iterdir())) == 2


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
    with refused("data.split=0.96", kind=DataError):
        imagefolder.load(**options, hold_out=0.96)
    write_folder(folder, {"test/a/0.png": encoded(pixels(0)), "test/b/0.png": encoded(pixels(0))})
    with refused("test/", key="data.split=0.2", kind=DataError):
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


def test_missing_and_incomplete_sources_are_refused(tmp_path):
    refused_source(tmp_path / "absent.tar.xz", "absent.tar.xz")
    (tmp_path / "empty").mkdir()
    refused_source(tmp_path / "empty", "train/CLASS/FILE", "test/CLASS/FILE")
    only = {name: data for name, data in small().items() if name.startswith("train")}
    refused_source(write_folder(tmp_path / "half", only), "test/", "data.split=0.2")
    refused_source(
        write_folder(tmp_path / "odd", small() | {"train/c/0.png": encoded(pixels(5))}), "but only in train/ c"
    )
    for name in ("train/x.png", "train/a/d/x.png"):
        refused_source(
            write_folder(tmp_path / name.replace("/", "-"), small() | {name: b""}),
            name.removesuffix("/x.png"),
            "train/CLASS/FILE",
        )
    os.mkfifo(write_folder(tmp_path / "pipe", small()) / "train" / "a" / "fifo")
    refused_source(tmp_path / "pipe", "train/a/fifo")
    os.mkfifo(tmp_path / "deep.fifo")
    refused_source(tmp_path / "deep.fifo", "neither a directory nor a file")
    two = {f"{top}/{name}": data for top in ("x", "y") for name, data in small().items()}
    refused_source(write_folder(tmp_path / "two", two), "x/", "y/")
    # A copy beside the one that is meant is named and not read.
    assert load(write_folder(tmp_path / "kept", small() | {f"old/{name}": data for name, data in small().items()}))
    with refused(key="data.path", kind=DataError):
        imagefolder.load(path="", cache=tmp_path, name="n", title="t")


def test_one_size_must_be_one_that_fits_the_network(tmp_path):
    refused_source(write_tar(tmp_path / "some.tar", small(side=10)), "divisible by 4")
