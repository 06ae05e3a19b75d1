"""A table as data, and the formats of its cells: a column is a key of its lines and a formatter.

How a table becomes Markdown, LaTeX and HTML stands in `render` and its templates.
"""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

MISSING = "n/a"


def text(value: Any) -> str:
    """Write a value as it is; None is empty."""
    return "" if value is None else str(value)


def dash(value: Any) -> str:
    """Write a value as it is; None is a dash."""
    return "-" if value is None else str(value)


@dataclass(frozen=True)
class Column:
    """One column for readers: its heading, which value of a line it shows, and how that is written.

    `key` names one value, or several that `show` takes together; a line without it has an empty cell. `wide` columns
    hold sentences and may wrap. A column stands in `files`, on the `terminal`, or in both.
    """

    heading: str
    key: str | tuple[str, ...]
    show: Callable[..., str] = text
    wide: bool = False
    place: str = "both"

    def cell(self, line: dict[str, Any]) -> str:
        """Write the column's cell of a line. Text where a number belongs stands as it is: it says why there is none."""
        keys = (self.key,) if isinstance(self.key, str) else self.key
        if line.keys().isdisjoint(keys):
            return ""
        values = [line.get(key) for key in keys]
        return values[0] if isinstance(values[0], str) else self.show(*values)


@dataclass(frozen=True)
class Table:
    """Lines of raw values with the columns that show them. `name` is the file's stem and the section's anchor.

    CSV gets the raw `fields` of `data`, or of the lines themselves when `data` is None.
    `terminal` says whether it is printed when the report runs; every table is written to files.
    """

    name: str
    title: str
    columns: Sequence[Column]
    lines: Sequence[dict[str, Any]]
    fields: Sequence[str] = ()
    heading: Sequence[str] = ()
    warning: str | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    terminal: bool = False
    data: Sequence[dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        """Raise KeyError for a column of which no line has anything, or a field of CSV that a line lacks."""
        known = {key for line in self.lines for key in line}
        for column in self.columns:
            keys = {column.key} if isinstance(column.key, str) else set(column.key)
            if self.lines and not keys <= known:
                raise KeyError(f"table {self.name}: column '{column.heading}': no line has {sorted(keys - known)}")
        data = self.lines if self.data is None else self.data
        lacking = set(self.fields) - {key for line in data for key in line}
        if data and lacking:
            raise KeyError(f"table {self.name}: no line has the fields {sorted(lacking)}")

    def shown(self, place: str) -> list[Column]:
        """The columns for `place`, files or terminal."""
        return [column for column in self.columns if column.place in (place, "both")]

    def cells(self, place: str) -> list[list[str]]:
        """The text of every cell, line by line."""
        columns = self.shown(place)
        return [[column.cell(line) for column in columns] for line in self.lines]

    def csv(self) -> bytes:
        """The raw values as CSV."""
        return csv_text(self.fields, self.lines if self.data is None else self.data).encode()


def number(value: float | None, decimals: int = 2, *, sign: bool = False) -> str:
    """Write a number with so many decimals; None is n/a, and what rounds to nothing has no minus sign."""
    if value is None or not math.isfinite(value):
        return MISSING
    shown = f"{value:{'+' if sign else ''},.{decimals}f}"
    return shown.replace("-", "+" if sign else "") if float(shown.replace(",", "")) == 0 else shown


def signed(value: float | None) -> str:
    """Write a number with its sign."""
    return number(value, sign=True)


def duration(hours: float | None) -> str:
    """Write hours, and what is less than one as minutes."""
    if hours is None:
        return MISSING
    minutes = round(60 * hours)
    if minutes >= 60:
        return f"{tenth(hours) if hours < 99.95 else whole(hours)} h"
    return f"{minutes} min" if minutes or hours == 0 else "<1 min"


def whole(value: float | None) -> str:
    """Write a number without decimals."""
    return number(value, 0)


def tenth(value: float | None) -> str:
    """Write a number with one decimal."""
    return number(value, 1)


def starred(value: float | None, beyond: bool | None) -> str:
    """Write a number, with a star where it is beyond the noise floor."""
    return f"{number(value)} *" if beyond else number(value)


def equal(shown: bool | None) -> str:
    """Write what an equivalence test shows."""
    return {True: "yes", False: "not shown", None: MISSING}[shown]


def interval(low: float | None, high: float | None) -> str:
    """Write `[low, high]` with signs; n/a when there is none."""
    return MISSING if low is None or high is None else f"[{signed(low)}, {signed(high)}]"


def estimate(mean: float | None, low: float | None, high: float | None) -> str:
    """Write a mean with its interval, if it has one."""
    return signed(mean) if low is None else f"{signed(mean)} {interval(low, high)}"


def span(low: float | None, high: float | None) -> str:
    """Write `low to high`; n/a when there is neither."""
    return MISSING if low is None or high is None else f"{number(low)} to {number(high)}"


def spread(mean: float | None, deviation: float | None) -> str:
    """Write a mean with its standard deviation, if it has one."""
    return number(mean) if deviation is None else f"{number(mean)} ± {number(deviation)}"


def around(median: float | None, iqr: float | None, decimals: int = 2) -> str:
    """Write a median with half its interquartile range."""
    if median is None or iqr is None:
        return MISSING
    return f"{number(median, decimals)} ± {number(iqr / 2, decimals)}"


def rate(median: float | None, iqr: float | None) -> str:
    """Write a median of images/s with half its interquartile range."""
    return around(median, iqr, 1 if median is not None and median < 100 else 0)


def times(value: float | None, decimals: int = 2) -> str:
    """Write a ratio."""
    return MISSING if value is None else f"x {number(value, decimals)}"


def share(part: int | None, whole: int | None) -> str:
    """Write `part/whole`, or the part alone where the whole is unknown."""
    return f"{part}/{whole}" if whole else text(part)


def p_value(value: float | None) -> str:
    """Write a p-value with three decimals, and the smallest ones as a bound."""
    if value is None:
        return MISSING
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def percent(alpha: float) -> str:
    """Write the coverage of an interval: 95 %."""
    return f"{100 * (1 - alpha):g} %"


def percentage(value: float | None, decimals: int = 0) -> str:
    """Write a share of one in percent."""
    return MISSING if value is None else f"{number(100 * value, decimals)} %"


def count(value: float | None) -> str:
    """Write a large number shortly: 903 k, 12.3 M, 1.25 G."""
    if value is None:
        return MISSING
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}" if abs(value) < 999.5 * size else f"{value / size:.0f} {unit}"
    return f"{value:.0f}"


def byte_count(value: float | None) -> str:
    """Write a number of bytes shortly: 903 kB, 12.3 MB."""
    return MISSING if value is None else f"{count(value)}B"


def raw(value: Any) -> str:
    """Write a value for CSV: six significant digits, since machines differ in the last bits; None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value + 0.0:.6g}"
    return str(value)


def csv_text(fields: Sequence[str], lines: Sequence[dict[str, Any]]) -> str:
    """Return CSV of raw values."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([raw(line.get(name)) for name in fields] for line in lines)
    return buffer.getvalue()
