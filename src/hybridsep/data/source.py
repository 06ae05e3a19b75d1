"""The image files of a class-per-folder directory, tar or zip, and a fingerprint that tells when they change."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hybridsep.data import archive
from hybridsep.data.archive import limit, unreadable
from hybridsep.data.layout import LAYOUT, PARTS, Contents, Place, is_hidden, listed
from hybridsep.errors import DataError

_WANTED = "a directory, tar or zip with train/CLASS/FILE and test/CLASS/FILE"


class Entry(NamedTuple):
    """One image file, not decoded yet."""

    place: Place
    name: str  # as messages show it
    data: bytes


@dataclass(frozen=True)
class Source:
    """A dataset as a person has it, at `path`; files may have `max_file` bytes each."""

    path: Path
    max_file: int

    def fingerprint(self) -> str:
        """Return a SHA-256 of an archive's bytes, or of every name in a directory with the content of the file.

        Sizes and times would not do: two files that change places after unpacking have the same. Raises DataError
        when there is nothing at `path`, or something else.
        """
        try:
            if self.path.is_file():
                return _digest(self.path)
            digest = hashlib.sha256()
            for place, file in self._listing(Contents()):
                digest.update(f"{'/'.join(place)}\0{_digest(file)}\n".encode(errors="surrogateescape"))
            return digest.hexdigest()
        except OSError as error:
            raise unreadable(self.path, error) from None

    def entries(self, contents: Contents, advance: Callable[[float], None]) -> Iterator[Entry]:
        """Yield every image file, in the source's order, and note in `contents` what else there is.

        `advance` is told the share that has been read. Nothing is written anywhere. Raises DataError, naming the
        file, for hostile names, links and devices, too large or too many files, and damaged archives.
        """
        seen: set[tuple[str, ...]] = set()
        for entry in (self._in_archive if self.path.is_file() else self._in_directory)(contents, advance):
            if not seen:
                contents.top = entry.place.top
            if entry.place.top != contents.top:
                raise DataError(f"{entry.name} lies beside another train/ or test/ folder: {LAYOUT}")
            if entry.place[1:] in seen:
                raise DataError(f"{entry.name} comes twice: every file must come once")
            seen.add(entry.place[1:])
            yield entry

    def _in_archive(self, contents: Contents, advance: Callable[[float], None]) -> Iterator[Entry]:
        for place, name, data in archive.files(self.path, contents, advance, max_file=self.max_file):
            yield Entry(place, name, data)

    def _in_directory(self, contents: Contents, advance: Callable[[float], None]) -> Iterator[Entry]:
        try:
            files = self._listing(contents)
        except OSError as error:
            raise unreadable(self.path, error) from None
        for number, (place, file) in enumerate(files):
            advance(number / len(files))
            try:
                data = file.read_bytes()
            except OSError as error:
                raise unreadable(file, error) from None
            yield Entry(place, str(file), data)

    def _listing(self, contents: Contents) -> list[tuple[Place, Path]]:
        """Return the files of a directory in order. Links are followed: a person's own disk may well have them."""
        if not self.path.is_dir():
            state = "is neither a directory nor a file" if self.path.exists() else "does not exist"
            raise DataError(f"data.path={self.path} {state}: give {_WANTED}")
        tops = [self.path, *(item for item in _sorted(self.path) if item.is_dir() and not is_hidden(item.name))]
        tops = [folder for folder in tops if any((folder / part).is_dir() for part in PARTS)]
        tops = [self.path] if self.path in tops else tops
        if len(tops) > 1:
            raise DataError(
                f"data.path={self.path} must have one folder with train/ and test/, not several:"
                f" {listed(folder.name for folder in tops)}; name the one that is meant"
            )
        top = tops[0] if tops else self.path
        files: list[tuple[Place, Path]] = []
        for item in [*_sorted(top), *([] if top == self.path else _sorted(self.path))]:
            if item == top:
                continue
            if is_hidden(item.name):
                contents.hidden.append(item.name)
            elif item.name not in PARTS or not item.is_dir():
                contents.outside.add(item.name + "/" * item.is_dir())
            else:
                files += self._of_part(item, contents)
        if len(files) > archive.MAX_FILES:
            raise DataError(f"data.path={self.path} has {len(files)} files, allowed are {archive.MAX_FILES}")
        return files

    def _of_part(self, part: Path, contents: Contents) -> Iterator[tuple[Place, Path]]:
        for label in _sorted(part):
            if is_hidden(label.name):
                contents.hidden.append(f"{part.name}/{label.name}")
                continue
            if not label.is_dir():
                raise DataError(f"{label} is in no class folder: {LAYOUT}")
            contents.add(f"{part.name}/{label.name}", folder=True)
            for file in _sorted(label):
                if is_hidden(file.name):
                    contents.hidden.append(f"{part.name}/{label.name}/{file.name}")
                    continue
                status = file.stat()
                if not stat.S_ISREG(status.st_mode):
                    raise DataError(f"{file} is not a regular file: {LAYOUT}")
                limit(str(file), status.st_size, self.max_file)
                if place := contents.add(f"{part.name}/{label.name}/{file.name}"):
                    yield place, file


def _sorted(folder: Path) -> list[Path]:
    with os.scandir(folder) as items:
        return sorted((Path(item.path) for item in items), key=lambda path: path.name)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
