"""A figure: its numbers, computed before anything is drawn and written beside it as CSV, and how they are drawn."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from hybridsep.report.runset import RunSet
from hybridsep.report.table import csv_rows

if TYPE_CHECKING:  # drawing takes a library of seconds, numbers do not
    from matplotlib.figure import SubFigure

# What a picture can show; the tables have the rest.
MOST_ROWS = 24

# The picture alone has what such a field of a line holds.
PICTURE_ONLY = {"csv": False}


class OfRow(Protocol):
    """A line that belongs to a row of the table."""

    @property
    def row(self) -> str: ...


Line = TypeVar("Line")
RowLine = TypeVar("RowLine", bound=OfRow)


@dataclass(frozen=True)
class Figure(Generic[Line]):
    """One figure: its `lines`, dataclasses whose fields are the columns of the CSV file, and how they are drawn.

    `drawer` draws them into the middle of a picture `width` wide, `height` high in inches; `legend` says there what the
    drawn marks are, `note` what the picture leaves out. `errors`: it shows errors on the test images that were chosen.
    """

    name: str
    title: str
    lines: Sequence[Line]
    drawer: "Callable[[Sequence[Line], SubFigure], None]"
    legend: str
    width: float = 8.4
    height: float = 3.9
    note: str = ""
    errors: bool = False

    def csv(self) -> str:
        """Return the numbers as CSV; a figure without lines is not written at all."""
        names = [each.name for each in fields(self.lines[0]) if each.metadata != PICTURE_ONLY]  # type: ignore[arg-type]
        return csv_rows(names, ([getattr(line, name) for name in names] for line in self.lines))

    def draw(self, body: "SubFigure") -> None:
        """Draw the lines."""
        self.drawer(self.lines, body)


def shown_rows(runset: RunSet) -> list[str]:
    """The rows that a picture shows: the first that have finished trials."""
    return [row for row in runset.rows if runset.runs[row]][:MOST_ROWS]


def left_out(runset: RunSet) -> str:
    """Say that a picture does not show all rows, if so."""
    with_runs = sum(bool(runset.runs[row]) for row in runset.rows)
    return f"First {MOST_ROWS} of {with_runs} rows; the tables have all." if with_runs > MOST_ROWS else ""


def by_row(lines: Iterable[RowLine]) -> dict[str, list[RowLine]]:
    """Group lines by their row, in order."""
    groups: dict[str, list[RowLine]] = {}
    for line in lines:
        groups.setdefault(line.row, []).append(line)
    return groups
