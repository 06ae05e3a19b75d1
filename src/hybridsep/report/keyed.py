"""Tables whose columns are keys of dictionaries: what is left of them is to be written as `table.Column`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hybridsep.report import table
from hybridsep.report.table import Head, Place, text


@dataclass(frozen=True)
class Column:
    """One column: its heading, which value of a line it shows, and how that is written."""

    heading: str
    key: str | tuple[str, ...]
    show: Callable[..., str] = text
    wide: bool = False
    place: Place = "both"

    def cell(self, line: dict[str, Any]) -> str:
        """Write the column's cell of a line. Text where a number belongs stands as it is: it says why there is none."""
        keys = (self.key,) if isinstance(self.key, str) else self.key
        if line.keys().isdisjoint(keys):
            return ""
        values = [line.get(key) for key in keys]
        return values[0] if isinstance(values[0], str) else self.show(*values)


def table_of(
    name: str,
    title: str,
    columns: Sequence[Column],
    lines: Sequence[dict[str, Any]],
    fields: Sequence[str] = (),
    *,
    heading: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> table.Table:
    """Return the table of `lines`. Raises KeyError for a column of which no line has anything."""
    known = {key for line in lines for key in line}
    for column in columns:
        keys = {column.key} if isinstance(column.key, str) else set(column.key)
        if lines and not keys <= known:
            raise KeyError(f"table {name}: column '{column.heading}': no line has {sorted(keys - known)}")
    return table.Table(
        name,
        title,
        [Head(column.heading, column.wide, column.place) for column in columns],
        [[column.cell(line) for column in columns] for line in lines],
        csv="",
        notes=notes,
        heading=heading,
    )
