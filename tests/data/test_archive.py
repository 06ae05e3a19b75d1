"""Tar and zip: read to the end, and refused when they mean harm."""

import contextlib
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_images import encoded, load, pixels, refused_source, small, write_folder, write_tar, write_zip

from hybridsep.data import archive, imagefolder, source
from hybridsep.errors import DataError


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_archives_one_after_the_other_are_read_to_the_end(tmp_path, mode):
    halves = [dict(list(small().items())[::2]), dict(list(small().items())[1::2])]
    content = b"".join(write_tar(tmp_path / "half.tar", half, mode).read_bytes() for half in halves)
    (tmp_path / "all.tar").write_bytes(content)
    assert load(tmp_path / "all.tar").sha256 == load(write_tar(tmp_path / "right.tar", small())).sha256
    # What follows the last end of an xz or bz2 file and is none itself, Python's readers pass over.
    for garbage in (b"\1" * 700, bytes(600) + b"more", b"x") if mode in ("w", "w:gz") else ():
        (tmp_path / "all.tar").write_bytes(content + garbage)
        refused_source(tmp_path / "all.tar", "all.tar")
    (tmp_path / "all.tar").write_bytes(content + write_tar(tmp_path / "half.tar", halves[0], mode).read_bytes())
    refused_source(tmp_path / "all.tar", "comes twice")


def test_a_zip_is_read_as_a_tar_is(tmp_path):
    files = {f"things/{name}": data for name, data in small().items()}
    whole = write_zip(tmp_path / "some.zip", files | {"things/Thumbs.db": b"", "__MACOSX/x": b""})
    assert load(whole).sha256 == load(write_tar(tmp_path / "some.tar", files)).sha256
    content = whole.read_bytes()
    for other in (content + b"more", b"more" + content, content + content, content[:-30], content[: len(content) // 2]):
        (tmp_path / "other.zip").write_bytes(other)
        refused_source(tmp_path / "other.zip", "other.zip")
    flipped = bytearray(content)
    flipped[content.index(b"IDAT") + 9 if b"IDAT" in content else 60] ^= 1
    (tmp_path / "other.zip").write_bytes(flipped)
    refused_source(tmp_path / "other.zip", "other.zip")


def test_a_zip_that_means_harm_is_refused(tmp_path, monkeypatch):
    for name in ("../x.png", "/train/a/x.png", "train/x.png", "train/a/0.png"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile warns of a name that comes twice
            packed = tmp_path / "some.zip"
            with zipfile.ZipFile(packed, "w") as archive_:
                for known, data in [*small().items(), (name, encoded(pixels(0)))]:
                    archive_.writestr(known, data)
        refused_source(packed, Path(name).name)
    linked = zipfile.ZipInfo("train/a/x.png")
    linked.external_attr = 0o120777 << 16
    with zipfile.ZipFile(packed, "w") as archive_:
        archive_.writestr(linked, "/etc/passwd")
    refused_source(packed, "train/a/x.png", "link, device")
    big = write_zip(tmp_path / "big.zip", small() | {"train/a/x.png": bytes(imagefolder._MAX_FILE + 1)})
    refused_source(big, "train/a/x.png", "data.side=32")
    monkeypatch.setattr(archive, "MAX_TOTAL", 1 << 10)
    refused_source(big, " MiB in it")


def link(kind: bytes, name: str = "train/a/x.png", target: str = "/etc/passwd") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, b"?"]
)
def test_links_and_devices_are_refused_wherever_they_are(tmp_path, kind):
    for name in ("train/a/x.png", "elsewhere"):
        packed = write_tar(tmp_path / "some.tar", small(), extra=(link(kind, name),))
        if kind != b"?":  # an unknown kind is a file, and this one is empty
            refused_source(packed, name, "link, device")
    if kind == b"?":
        refused_source(write_tar(tmp_path / "some.tar", small(), extra=(link(kind),)), "train/a/x.png")


def test_too_much_is_refused(tmp_path, monkeypatch):
    big = tarfile.TarInfo("train/a/big.png")
    big.size = imagefolder._MAX_FILE + 1
    refused_source(write_tar(tmp_path / "some.tar.xz", small(), "w:xz", (big,)), "big.png", str(imagefolder._MAX_FILE))
    packed, folder = write_tar(tmp_path / "some.tar", small()), write_folder(tmp_path / "some", small())
    monkeypatch.setattr(source, "MAX_FILES", 7)
    refused_source(packed, "more than 7 files")
    refused_source(folder, "more than 7 files")
    monkeypatch.setattr(source, "MAX_FILES", 1000)
    monkeypatch.setattr(archive, "MAX_TOTAL", 4 << 10)
    refused_source(packed, " MiB in it")
    monkeypatch.setattr(imagefolder, "_MAX_DECODED", 5 * 8 * 8 * 3)
    refused_source(folder, "fit in memory")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_bomb_in_an_extended_header_is_refused_before_it_is_read(tmp_path, kind):
    member = tarfile.TarInfo("longname")
    member.type, member.size = kind, 1 << 40
    data = zlib.compress(member.tobuf(tarfile.GNU_FORMAT), wbits=31)
    (tmp_path / "some.tar").write_bytes(data)
    refused_source(tmp_path / "some.tar", "header of 1099511627776 bytes")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_truncated_archive_is_never_a_smaller_dataset(tmp_path, mode):
    whole = write_tar(tmp_path / "some.tar", small(), mode).read_bytes()
    end = len(whole.rstrip(b"\0")) if mode == "w" else len(whole)
    for cut in {0, 1, 100, 512, 1024, end // 2 // 512 * 512, end // 2, end // 512 * 512, end - 1}:
        (tmp_path / "some.tar").write_bytes(whole[:cut])
        refused_source(tmp_path / "some.tar", "some.tar")


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


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x1f\x8b", b"\xfd7zXZ\0", bytes(10_240)])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "some.tar").write_bytes(content)
    refused_source(tmp_path / "some.tar", "some.tar")
