"""The members of a tar or zip, read in one go, without unpacking and without trust in the archive."""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from hybridsep.errors import DataError

MAX_TOTAL = 4 << 30  # bytes of a whole archive, decompressed
_MAX_HEADER = 64 << 10  # bytes of an extended header (long names); tarfile reads these into memory by itself
_PLAIN_TYPES = (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE)
_END_OF_ZIP = 22  # bytes of the record that a zip ends with, without its comment


class Member(NamedTuple):
    """A file or folder of a dataset; `read` gives its content, before the next member is asked for."""

    name: str
    folder: bool
    size: int
    read: Callable[[], bytes]


def members(path: Path, advance: Callable[[float], None]) -> Iterator[Member]:
    """Yield what is in an archive, in its order; `advance` is told the share that has been read.

    A tar may be plain, gz, xz or bz2, and several may follow each other; or it is a zip. Raises DataError for links,
    devices, encrypted files, more than MAX_TOTAL bytes, and bytes before or after a zip; a dozen unrelated types of
    error for damaged bytes.
    """
    with path.open("rb") as file:
        is_zip = file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    try:
        yield from (_of_zip if is_zip else _of_tar)(path, advance)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _of_zip(path: Path, advance: Callable[[float], None]) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        with path.open("rb") as file:
            file.seek(-_END_OF_ZIP - len(archive.comment), 2)
            ends_there = file.read(4) == b"PK\x05\x06"
        # `zipfile` passes over what is before or after the zip, another archive or not.
        if not ends_there or min((info.header_offset for info in infos), default=0) > 0:
            raise DataError("more than one zip, or something before or after it: pack it again")
        _check_total(sum(info.file_size for info in infos))
        for number, info in enumerate(infos):
            advance(number / len(infos))
            kind = stat.S_IFMT(info.external_attr >> 16)
            _check_kind(info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR) and not info.flag_bits & 1)
            yield Member(info.filename, info.is_dir(), info.file_size, partial(archive.read, info))


def _of_tar(path: Path, advance: Callable[[float], None]) -> Iterator[Member]:
    class OneHeader(_Header):
        ended = False  # of this archive

    with path.open("rb") as raw:
        stream = cast(BinaryIO, _LimitedStream(_decompressed(raw)))  # of which tarfile calls `read` alone
        size = max(1, path.stat().st_size)
        # tarfile takes an end mark for the end of all; with this it goes on to what another `cat` put behind it.
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=OneHeader, ignore_zeros=True) as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else a million of them stay in memory
                advance(raw.tell() / size)
                _check_kind(member.name, member.isdir() or (member.isreg() and not member.issparse()))
                yield Member(member.name, member.isdir(), member.size, partial(_content, tar, member))


def _decompressed(raw: BinaryIO) -> BinaryIO:
    """Return a file's content, decompressed when its first bytes say so, whatever its name says."""
    start = raw.read(6)
    raw.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(raw))
    if start.startswith(b"BZh"):
        return cast(BinaryIO, bz2.open(raw))
    return cast(BinaryIO, lzma.open(raw)) if start == b"\xfd7zXZ\0" else raw


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # a regular file
    return file.read()


def _check_kind(name: str, plain: bool) -> None:
    if not plain:
        raise DataError(f"{name!r} is a link, device, sparse or encrypted file: only files and folders are allowed")


def _check_total(size: int) -> None:
    if size > MAX_TOTAL:
        raise DataError(f"more than {MAX_TOTAL >> 20} MiB in it")


class _LimitedStream:
    """A stream that refuses to give more than MAX_TOTAL bytes."""

    def __init__(self, plain: BinaryIO) -> None:
        self._plain, self._total = plain, 0

    def read(self, size: int) -> bytes:
        data = self._plain.read(size)
        self._total += len(data)
        _check_total(self._total)
        return data


class _Header(tarfile.TarInfo):
    """A header that is refused where tarfile would take a damaged one for the archive's end, or read a huge one.

    `ended` says whether the block before was an end mark.
    """

    ended: bool

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        after_end, cls.ended = cls.ended, not any(buf)
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if cls.ended and (buf or after_end):
                raise  # a block of zeros, or nothing more behind one
            fault = "what follows its end is no archive" if after_end else "damaged header, or no end of the archive"
            raise ValueError(fault) from error
        if member.size < 0 or member.type not in _PLAIN_TYPES and member.size > _MAX_HEADER:
            raise ValueError(f"a header of {member.size} bytes for {member.name!r}")
        return member
