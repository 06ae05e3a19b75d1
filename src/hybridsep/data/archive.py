"""The image files of a class-per-folder directory or tar, read without unpacking and without trust in the archive."""

import bz2
import gzip
import hashlib
import lzma
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from hybridsep.errors import DataError

MAX_FILE = 1 << 20  # bytes of one image file
MAX_FILES = 1_000_000
MAX_TOTAL = 4 << 30  # bytes of a whole archive, decompressed
_MAX_HEADER = 64 << 10  # bytes of an extended header (long names); tarfile reads these into memory by itself
_PLAIN_TYPES = (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE)
_PARTS = ("train", "test")
_LAYOUT = "allowed are train/CLASS/FILE and test/CLASS/FILE, all in at most one common folder"
_OPENERS = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\0": lzma.open, b"BZh": bz2.open}


class Place(NamedTuple):
    """Where a file belongs: the common folder above train/ and test/ ("" if none), part, class and file name."""

    top: str
    part: str
    label: str
    file: str


class Entry(NamedTuple):
    """One image file, not decoded yet."""

    place: Place
    name: str  # as messages show it
    data: bytes


def check_name(name: str) -> None:
    """Raise DataError for a name that is absolute, leads upwards or has unprintable characters."""
    if name.startswith("/") or not name.isprintable() or ".." in name.split("/"):
        raise DataError(f"{name!r} is not allowed: names must be relative, printable and without ..")


def place(name: str) -> Place | None:
    """Return where a file of this name belongs, or None if it is hidden or outside of train/ and test/.

    Raises DataError for a hostile name (`check_name`) and for a file in train/ or test/ that is in no class folder.
    """
    check_name(name)
    pieces = [piece for piece in name.split("/") if piece not in ("", ".")]
    if any(_hidden(piece) for piece in pieces):
        return None
    if pieces[:1] and pieces[0] in _PARTS:
        top, inner = "", pieces
    elif pieces[1:2] and pieces[1] in _PARTS:
        top, inner = pieces[0], pieces[1:]
    else:
        return None
    if len(inner) != 3:
        raise DataError(f"{name!r} is in no class folder: {_LAYOUT}")
    return Place(top, *inner)


def fingerprint(path: Path) -> str:
    """Return a SHA-256 of the source: a tar's bytes, or every path, size and modification time of a directory.

    Raises DataError when there is nothing at `path`, or something that is neither.
    """
    try:
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        for location, file in _listing(path):
            status = os.stat(file)
            digest.update(f"{'/'.join(location)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None


def entries(path: Path, advance: Callable[[float], None]) -> Iterator[Entry]:
    """Yield every image file of a directory or of a tar (plain, gz, xz, bz2), in the source's order.

    `advance` is told the share that has been read. Nothing is written anywhere. Raises DataError, naming the member,
    for links and devices, hostile names, files over MAX_FILE, more than MAX_FILES or MAX_TOTAL, damaged archives.
    """
    found: set[tuple[str, ...]] = set()
    top = None
    for entry in _from_tar(path, advance) if path.is_file() else _from_directory(path, advance):
        top = entry.place.top if top is None else top
        if entry.place.top != top:
            raise DataError(f"{entry.name} lies beside another train/ or test/ folder: {_LAYOUT}")
        if entry.place[1:] in found:
            raise DataError(f"{entry.name} comes twice: every file must come once")
        found.add(entry.place[1:])
        yield entry
    if not found:
        raise DataError(f"data.path={path} holds no images: {_LAYOUT}")


def _hidden(piece: str) -> bool:
    return piece.startswith(".") or piece == "__MACOSX"


def _folder(path: str | os.PathLike) -> list[os.DirEntry]:
    with os.scandir(path) as items:
        return sorted((item for item in items if not _hidden(item.name)), key=lambda item: item.name)


def _listing(path: Path) -> list[tuple[Place, str]]:
    """Return the files of a directory in order. Links are followed: a person's own disk may well have them."""
    if not path.is_dir():
        state = "is neither a directory nor a file" if path.exists() else "does not exist"
        raise DataError(f"data.path={path} {state}: give a directory or tar with train/CLASS/FILE and test/CLASS/FILE")
    tops = [path, *(Path(item) for item in _folder(path) if item.is_dir())]
    tops = [folder for folder in tops if any((folder / part).is_dir() for part in _PARTS)]
    tops = [path] if path in tops else tops
    if len(tops) != 1:
        found = ", ".join(folder.name for folder in tops) or "none"
        raise DataError(f"data.path={path} must have one folder with train/ and test/, found: {found}")
    files = []
    for part in _PARTS:
        for label in _folder(tops[0] / part) if (tops[0] / part).is_dir() else []:
            if not label.is_dir():
                raise DataError(f"{label.path} is in no class folder: {_LAYOUT}")
            files += [(place(f"{part}/{label.name}/{file.name}"), file.path) for file in _folder(label)]
    if len(files) > MAX_FILES:
        raise DataError(f"data.path={path} has {len(files)} files, allowed are {MAX_FILES}")
    return files


def _from_directory(path: Path, advance: Callable[[float], None]) -> Iterator[Entry]:
    try:
        files = _listing(path)
    except OSError as error:
        raise _unreadable(path, error) from None
    for number, (location, file) in enumerate(files):
        advance(number / len(files))
        try:
            status = os.stat(file)
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{file} is not a regular file: {_LAYOUT}")
            _limit(file, status.st_size)
            data = Path(file).read_bytes()
        except OSError as error:
            raise _unreadable(file, error) from None
        yield Entry(location, file, data)


def _from_tar(path: Path, advance: Callable[[float], None]) -> Iterator[Entry]:
    try:
        size = max(1, path.stat().st_size)
        with path.open("rb") as raw, _decompressed(raw) as plain:
            stream = _Bounded(plain)
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as tar:
                for member in _members(tar):
                    advance(raw.tell() / size)
                    name = f"{path.name}: {member.name!r}"
                    check_name(member.name)
                    if member.isdir():
                        continue
                    if not member.isreg() or member.issparse():
                        raise DataError(f"{name} is a link, device or sparse file: only files and folders are allowed")
                    _limit(name, member.size)
                    location = place(member.name)
                    if location is not None:
                        yield Entry(location, name, tar.extractfile(member).read())
            stream.drain()  # the checksum of the compressed stream stands at its end
    except DataError:
        raise
    except Exception as error:  # tarfile and the decompressors raise a dozen unrelated types on damaged bytes
        raise _unreadable(path, error) from None


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for _ in range(MAX_FILES):
        member = tar.next()
        if member is None:
            return
        tar.members.clear()  # else a million of them stay in memory
        yield member
    raise DataError(f"the archive has more than {MAX_FILES} members")


def _decompressed(raw: BinaryIO) -> BinaryIO:
    """Return a file's content, decompressed when its first bytes say so, whatever its name says."""
    start = raw.read(8)
    raw.seek(0)
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            return opener(raw)
    return raw


class _Bounded:
    """A stream that refuses to give more than MAX_TOTAL bytes."""

    def __init__(self, plain: BinaryIO) -> None:
        self._plain = plain
        self._given = 0

    def read(self, size: int) -> bytes:
        data = self._plain.read(size)
        self._given += len(data)
        if self._given > MAX_TOTAL:
            raise DataError(f"the archive holds more than {MAX_TOTAL >> 20} MiB")
        return data

    def drain(self) -> None:
        while self.read(1 << 16):
            pass


class _Member(tarfile.TarInfo):
    """A header that is refused where tarfile would take a damaged one for the archive's end, or read a huge one."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "_Member":
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf and not any(buf):
                raise  # a block of zeros is the end of the archive
            raise ValueError("damaged header, or no end of the archive") from error
        if member.size < 0 or member.type not in _PLAIN_TYPES and member.size > _MAX_HEADER:
            raise ValueError(f"a header of {member.size} bytes for {member.name!r}")
        return member


def _limit(name: str, size: int) -> None:
    if size > MAX_FILE:
        raise DataError(f"{name} has {size} bytes, allowed are {MAX_FILE}")


def _unreadable(path: str | Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{path} cannot be read: {reason}")
