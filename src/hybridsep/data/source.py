"""The image files of a class-per-folder directory, tar or zip, and a fingerprint that tells when they change."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hybridsep.data.archive import Member, members
from hybridsep.data.layout import LAYOUT, PARTS, Contents, Place, is_hidden
from hybridsep.errors import DataError

MAX_FILES = 1_000_000


class Entry(NamedTuple):
    """One image file, not decoded yet."""

    place: Place
    name: str  # as messages show it
    data: bytes


@dataclass(frozen=True)
class Source:
    """A dataset as a person has it, at `path`; image files may have `max_file` bytes each."""

    path: Path
    max_file: int

    def fingerprint(self) -> str:
        """Return a SHA-256 of an archive's bytes, or of every name in a directory with the content of the file.

        Sizes and times would not do: two files that change places after unpacking have the same. Raises DataError
        when there is nothing at `path`, or something else.
        """
        if not self.path.is_file():
            digest = hashlib.sha256()
            for place, _, data in self.entries(Contents(), lambda share: None):
                digest.update(f"/{'/'.join(place[1:])}\0{hashlib.sha256(data).hexdigest()}\n".encode())
            return digest.hexdigest()
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error}") from None

    def entries(self, contents: Contents, advance: Callable[[float], None]) -> Iterator[Entry]:
        """Yield every image file, in the source's order, and note in `contents` what else there is.

        `advance` is told the share that has been read. Nothing is written anywhere. Raises DataError, naming the
        file, for hostile names, links and devices in archives, too large or too many files, and damaged archives.
        """
        try:
            yield from self._entries(contents, advance)
        except DataError:
            raise
        except Exception as error:  # the readers of archives raise a dozen unrelated types on damaged bytes
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{self.path} cannot be read: {reason}") from None

    def _entries(self, contents: Contents, advance: Callable[[float], None]) -> Iterator[Entry]:
        is_file = self.path.is_file()
        files: set[tuple[str, ...]] = set()
        for number, member in enumerate((members if is_file else _of_directory)(self.path, advance)):
            if number >= MAX_FILES:
                raise DataError(f"data.path={self.path} holds more than {MAX_FILES} files")
            try:
                place = contents.add(member.name, folder=member.folder)
            except DataError as error:
                raise DataError(f"{self.path}: {error}") from None
            if place is None:
                continue
            name = f"{self.path.name}: {member.name!r}" if is_file else str(self.path / member.name)
            if member.size > self.max_file:
                hint = "; data.side=32, for instance, makes large images small" if self.max_file <= 1 << 20 else ""
                raise DataError(f"{name} has {member.size} bytes, allowed are {self.max_file}{hint}")
            if not files:
                contents.top = place.top
            if place.top != contents.top:
                tops = " and ".join(f"{top}/" if top else "the top" for top in (contents.top, place.top))
                raise DataError(f"{name}: there are train/ and test/ folders in {tops}; {LAYOUT}")
            if place[1:] in files:
                raise DataError(f"{name} comes twice: every file must come once")
            files.add(place[1:])
            yield Entry(place, name, member.read())


def _of_directory(path: Path, advance: Callable[[float], None]) -> Iterator[Member]:
    """Yield what is in a directory, sorted; a folder that cannot hold images is named and not entered.

    Links are followed: a person's own disk may well have them. Raises DataError.
    """
    if not path.is_dir():
        state = "is neither a directory nor a file" if path.exists() else "does not exist"
        raise DataError(
            f"data.path={path} {state}: give a directory, tar or zip with train/CLASS/FILE and test/CLASS/FILE"
        )

    def listing(folder: str | Path, above: tuple[str, ...]) -> Iterator[Member]:
        with os.scandir(folder) as opened:
            items = sorted(opened, key=lambda item: item.name)
        has_parts = any(item.name in PARTS and item.is_dir() for item in items)
        for item in items:
            pieces = (*above, item.name)
            file = Path(item.path)
            if not item.is_dir() and not file.is_file():
                raise DataError(f"{file} is neither a regular file nor a folder: {LAYOUT}")
            yield Member("/".join(pieces), item.is_dir(), item.stat().st_size, file.read_bytes)
            inner = pieces[pieces[0] not in PARTS :]  # without the common folder
            may_hold = inner[0] in PARTS and len(inner) < 3 if inner else not has_parts
            if item.is_dir() and may_hold and not is_hidden(item.name):
                yield from listing(item.path, pieces)

    everything = list(listing(path, ()))
    for number, member in enumerate(everything):
        advance(number / len(everything))
        yield member
