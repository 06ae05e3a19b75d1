"""Which part and class a file of a dataset belongs to, by its name alone, and what is not read."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from hybridsep.errors import DataError

PARTS = ("train", "test")
LAYOUT = "allowed are train/CLASS/FILE and test/CLASS/FILE, all in at most one common folder"
# What desktops and file servers leave in folders, in lower case.
_SYSTEM = {
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found"),
    "system volume information",
}
_SHOWN = 5  # names in a message


class Place(NamedTuple):
    """Where a file belongs: the common folder above train/ and test/ ("" if none), part, class and file name."""

    top: str
    part: str
    label: str
    file: str


@dataclass
class Contents:
    """What a source holds beside images: its class folders as (part, class), and the names of what is not read.

    `outside` are the first one or two pieces of names outside of train/ and test/, a folder's with a "/" at the end.
    """

    top: str = ""
    folders: set[tuple[str, str]] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)

    def add(self, name: str, *, folder: bool = False) -> Place | None:
        """Return where a file of this name belongs; None, after a note of it, for what is not read, and for a folder.

        Raises DataError for a name that is absolute, leads upwards or has unprintable characters, and for what is in
        train/ or test/ but not as CLASS/FILE.
        """
        if name.startswith("/") or not name.isprintable() or ".." in name.split("/"):
            raise DataError(f"{name!r} is not allowed: names must be relative, printable and without ..")
        pieces = [piece for piece in name.split("/") if piece not in ("", ".")]
        for number, piece in enumerate(pieces, 1):
            if is_hidden(piece):
                self.hidden.add("/".join(pieces[:number]))
                return None
        inner = pieces[pieces[0] not in PARTS :] if pieces else []
        if not inner or inner[0] not in PARTS:
            if pieces:
                self.outside.add("/".join(pieces[:2]) + "/" * (folder or len(pieces) > 2))
            return None
        if len(inner) > 3 - folder or (len(inner) < 3 and not folder):
            raise DataError(f"{name!r} is not train/CLASS/FILE or test/CLASS/FILE: {LAYOUT}")
        if len(inner) > 1:
            self.folders.add((inner[0], inner[1]))
        return None if folder else Place("/".join(pieces[:-3]), *inner)

    def others(self) -> list[str]:
        """Return what lies beside train/ and test/, sorted; of a folder its name and a "/"."""
        inner = (name.removeprefix(f"{self.top}/") if self.top else name for name in self.outside)
        return sorted({"".join(name.partition("/")[:2]) for name in inner if name})

    def not_read(self) -> str:
        """Return the names of what is not read in words, "" when all is."""
        return listed([*self.others(), *sorted(self.hidden)])


def is_hidden(piece: str) -> bool:
    """Return whether a file or folder of this name is nobody's image."""
    return piece.startswith(".") or piece.lower() in _SYSTEM


def listed(names: Iterable[str]) -> str:
    """Return names for a message: the first few, and how many more there are."""
    names = [name if name.isprintable() else ascii(name) for name in names]
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
