"""The files of a tar or zip, read in one go, without unpacking and without trust in the archive."""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, cast

from hybridsep.data.layout import Contents, Place
from hybridsep.errors import DataError

MAX_FILES = 1_000_000
MAX_TOTAL = 4 << 30  # bytes of a whole archive, decompressed
_MAX_HEADER = 64 << 10  # bytes of an extended header (long names); tarfile reads these into memory by itself
_PLAIN_TYPES = (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE)
_ALLOWED = "only plain files and folders are allowed"
_END_OF_ZIP = 22  # bytes of the record that a zip ends with, without its comment


class _Member(NamedTuple):
    name: str
    folder: bool
    size: int
    read: Callable[[], bytes]  # to be called before the next member is asked for


def files(
    path: Path, contents: Contents, advance: Callable[[float], None], *, max_file: int
) -> Iterator[tuple[Place, str, bytes]]:
    """Yield place, name for messages and bytes of each file that `contents` places, in the archive's order.

    A tar may be plain, gz, xz or bz2, and several may follow each other; or it is a zip. `advance` is told the share
    that has been read. Raises DataError, naming the member, for hostile names, links, devices and encrypted files,
    files of more than `max_file` bytes, more than MAX_FILES or MAX_TOTAL, a damaged archive, and bytes before, between
    or after its parts that would not be read.
    """
    try:
        with path.open("rb") as file:
            is_zip = file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
        for number, member in enumerate((_of_zip if is_zip else _of_tar)(path, advance)):
            if number >= MAX_FILES:
                raise DataError(f"the archive has more than {MAX_FILES} members")
            name = f"{path.name}: {member.name!r}"
            limit(name, member.size, max_file)
            place = contents.add(member.name, folder=member.folder)
            if place is not None:
                yield place, name, member.read()
    except DataError:
        raise
    except Exception as error:  # tarfile, zipfile and the decompressors raise a dozen unrelated types on damaged bytes
        raise unreadable(path, error) from None


def limit(name: str, size: int, most: int) -> None:
    """Raise DataError for a file of more than `most` bytes."""
    if size > most:
        hint = "" if most > 1 << 20 else "; data.side=32, for instance, takes larger images and makes them small"
        raise DataError(f"{name} has {size} bytes, allowed are {most}{hint}")


def unreadable(path: str | Path, error: Exception) -> DataError:
    """Return the error for a file that the system or a decoder cannot read."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{path} cannot be read: {reason}")


def _of_zip(path: Path, advance: Callable[[float], None]) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        _check_ends(path, archive)
        infos = archive.infolist()
        if sum(info.file_size for info in infos) > MAX_TOTAL:
            raise DataError(f"the archive holds more than {MAX_TOTAL >> 20} MiB")
        for number, info in enumerate(infos):
            advance(number / len(infos))
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or info.flag_bits & 1:
                raise DataError(
                    f"{info.filename!r} is a link, device or encrypted file: only files and folders are allowed"
                )
            yield _Member(info.filename, info.is_dir(), info.file_size, partial(archive.read, info))


def _check_ends(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise DataError for bytes before or after the zip: `zipfile` passes over them, another archive or not."""
    with path.open("rb") as file:
        file.seek(-_END_OF_ZIP - len(archive.comment), 2)
        ends_there = file.read(4) == b"PK\x05\x06"
    if not ends_there or min((info.header_offset for info in archive.infolist()), default=0) > 0:
        raise DataError(f"{path} holds more than one zip, or something before or after it: pack it again")


def _of_tar(path: Path, advance: Callable[[float], None]) -> Iterator[_Member]:
    size = max(1, path.stat().st_size)

    class OwnHeader(_Header):
        ended = False  # of this archive

    with path.open("rb") as raw:
        stream = cast(BinaryIO, _Bounded(_decompressed(raw)))  # of which tarfile calls `read` alone
        # tarfile takes an end mark for the end of all; with this it goes on to what another `cat` put behind it.
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=OwnHeader, ignore_zeros=True) as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else a million of them stay in memory
                advance(raw.tell() / size)
                if not member.isdir() and (not member.isreg() or member.issparse()):
                    raise DataError(
                        f"{member.name!r} is a link, device or sparse file: only files and folders are allowed"
                    )
                yield _Member(member.name, member.isdir(), member.size, partial(_content, tar, member))


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # a regular file
    return file.read()


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _decompressed(raw: BinaryIO) -> _Readable:
    """Return a file's content, decompressed when its first bytes say so, whatever its name says."""
    start = raw.read(8)
    raw.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(raw)
    if start.startswith(b"\xfd7zXZ\0"):
        return _Streams(raw, lzma.LZMADecompressor)
    if start.startswith(b"BZh"):
        return _Streams(raw, bz2.BZ2Decompressor)
    return raw


class _Streams:
    """Compressed streams one after the other, decompressed. `lzma.open` and `bz2.open` pass over what they cannot read
    behind the first; here that raises an error as any damage does, and zeros are padding."""

    def __init__(self, raw: BinaryIO, new: type[lzma.LZMADecompressor] | type[bz2.BZ2Decompressor]) -> None:
        self._raw, self._new, self._stream = raw, new, new()

    def read(self, size: int) -> bytes:
        data = b""
        while not data:
            waiting = b""
            if self._stream.eof:
                waiting = self._stream.unused_data.lstrip(b"\0")
                while not waiting:
                    if not (chunk := self._raw.read(1 << 16)):
                        return b""
                    waiting = chunk.lstrip(b"\0")
                self._stream = self._new()
            elif self._stream.needs_input and not (waiting := self._raw.read(1 << 16)):
                raise EOFError("the compressed file ends before its end mark")
            data = self._stream.decompress(waiting, size)
        return data


class _Bounded:
    """A stream that refuses to give more than MAX_TOTAL bytes."""

    def __init__(self, plain: _Readable) -> None:
        self._plain = plain
        self._given = 0

    def read(self, size: int) -> bytes:
        data = self._plain.read(size)
        self._given += len(data)
        if self._given > MAX_TOTAL:
            raise DataError(f"the archive holds more than {MAX_TOTAL >> 20} MiB")
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
