"""A table: columns that are functions of a line, and what is left of them once it is built, text and CSV.

How a table becomes Markdown, LaTeX and HTML stands in `render` and its templates.
"""

import csv as csv_format
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, Protocol, TypeVar, cast

from hybridsep.statistics.difference import PermutationTest

MISSING = "n/a"
Line = TypeVar("Line")
OtherLine = TypeVar("OtherLine")
Value = TypeVar("Value")
Place = Literal["both", "files", "terminal", "csv"]


def text(value: object) -> str:
    """Write a value as it is; None is empty."""
    return "" if value is None else str(value)


def dash(value: object) -> str:
    """Write a value as it is; None is a dash."""
    return "-" if value is None else str(value)


@dataclass(frozen=True)
class Head:
    """A column without its values. `wide` columns hold sentences and may wrap; a `note` explains the column."""

    heading: str
    wide: bool
    place: Place
    note: str = ""


class Column(Generic[Line]):
    """A column, declared once for all outputs: which `value` a line has in it, and how `format` writes that.

    `csv` is the name of the value in the CSV file, or names with a function of the line each. `instead` gives a text
    that stands in the cell in place of the value, or None. A column with `when` False is only in the CSV. The `note`
    stands under the table wherever the column is shown, and nowhere else. Lists of columns are annotated,
    `list[Column[RowResult]]`, so that mypy knows what a line is, in lambdas too.
    """

    def __init__(
        self,
        heading: str,
        value: Callable[[Line], Value],
        format: Callable[[Value], str] = text,
        *,
        csv: str | Mapping[str, Callable[[Line], object]] = "",
        instead: Callable[[Line], str | None] | None = None,
        wide: bool = False,
        place: Place = "both",
        when: bool = True,
        note: str = "",
    ) -> None:
        def cell(line: Line) -> str:
            written = instead(line) if instead else None
            return format(value(line)) if written is None else written

        def values(line: Line) -> list[object]:
            return [value(line)] if isinstance(csv, str) else [part(line) for part in csv.values()]

        self.head = Head(heading, wide, place if when else "csv", note)
        self.names = ([csv] if csv else []) if isinstance(csv, str) else list(csv)
        self.cell: Callable[[Line], str] = cell
        self.values: Callable[[Line], list[object]] = values

    def on(self, part: Callable[[OtherLine], Line], *, prefix: str = "") -> "Column[OtherLine]":
        """Return the column for lines of which a `part` is a line of this one; its names in the CSV get the prefix."""
        column: Column[OtherLine] = cast(Any, copy(self))
        column.names = [prefix + name for name in self.names]
        column.cell = lambda line: self.cell(part(line))
        column.values = lambda line: self.values(part(line))
        return column


def csv_only(name: str, value: Callable[[Line], object]) -> Column[Line]:
    """A value that only the CSV file has."""
    return Column(name, value, csv=name, place="csv")


class Bounds(Protocol):
    """What has a lower and an upper end, or neither."""

    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


class Estimate(Bounds, Protocol):
    """A mean with its interval."""

    @property
    def mean(self) -> float | None: ...


def bounds_column(
    heading: str,
    value: Callable[[Line], Bounds],
    format: Callable[[Bounds], str],
    *,
    prefix: str = "",
    place: Place = "both",
) -> Column[Line]:
    """A column of an interval's ends, which are `low` and `high` in the CSV file, after a prefix."""
    csv: Mapping[str, Callable[[Line], object]] = {
        f"{prefix}low": lambda line: value(line).low,
        f"{prefix}high": lambda line: value(line).high,
    }
    return Column(heading, value, format, csv=csv, place=place)


def estimate_column(
    heading: str,
    value: Callable[[Line], Estimate],
    *,
    prefix: str = "",
    decimals: int = 2,
    instead: Callable[[Line], str | None] | None = None,
    note: str = "",
) -> Column[Line]:
    """A column of a mean with its interval, which are `mean`, `low` and `high` in the CSV file, after a prefix."""
    csv: Mapping[str, Callable[[Line], object]] = {
        f"{prefix}mean": lambda line: value(line).mean,
        f"{prefix}low": lambda line: value(line).low,
        f"{prefix}high": lambda line: value(line).high,
    }
    return Column(heading, value, partial(estimate, decimals=decimals), csv=csv, instead=instead, note=note)


@dataclass(frozen=True)
class Table:
    """Cells as text, and the CSV file. `name` is the file's stem and the section's anchor; `build` makes one.

    `terminal` says whether it is printed when the report runs; every table is written to files. `notes` are about the
    whole table; those that explain a column belong to it.
    """

    name: str
    title: str
    columns: Sequence[Head]
    lines: Sequence[Sequence[str]]
    csv: str
    notes: Sequence[str] = ()
    terminal: bool = False
    heading: Sequence[str] = ()
    warning: str | None = None

    def shown(self, place: Place) -> list[Head]:
        """The columns for `place`, files or terminal."""
        return [column for column in self.columns if column.place in (place, "both")]

    def notes_in(self, place: Place) -> list[str]:
        """The paragraphs under the table in `place`: what explains the columns that are shown there, and its notes."""
        of_columns = " ".join(column.note for column in self.shown(place) if column.note)
        return [*([of_columns] if of_columns else []), *self.notes]

    def cells(self, place: Place) -> list[list[str]]:
        """The text of every cell for `place`, line by line."""
        here = [column.place in (place, "both") for column in self.columns]
        return [[cell for cell, shown in zip(line, here, strict=True) if shown] for line in self.lines]


def named(columns: Sequence[Column[Line]], line: Line) -> dict[str, object]:
    """Return the values of a line by their names in the CSV file."""
    with_names = [column for column in columns if column.names]
    return {name: value for each in with_names for name, value in zip(each.names, each.values(line), strict=True)}


def build(
    name: str,
    title: str,
    columns: Sequence[Column[Line]],
    lines: Sequence[Line],
    *,
    csv: tuple[Sequence[Column[OtherLine]], Sequence[OtherLine]] | None = None,
    notes: Sequence[str] = (),
    terminal: bool = False,
    heading: Sequence[str] = (),
    warning: str | None = None,
) -> Table:
    """Return the table of `lines`. `csv`: other columns and lines for the CSV file, or the same in another order."""
    shown = [column for column in columns if column.head.place != "csv"]
    return Table(
        name=name,
        title=title,
        columns=[column.head for column in shown],
        lines=[[column.cell(line) for column in shown] for line in lines],
        csv=_csv(*csv) if csv else _csv(columns, lines),
        notes=notes,
        terminal=terminal,
        heading=heading,
        warning=warning,
    )


def _csv(columns: Sequence[Column[Line]], lines: Sequence[Line]) -> str:
    named = [column for column in columns if column.names]
    names = [name for column in named for name in column.names]
    return csv_rows(names, ([value for column in named for value in column.values(line)] for line in lines))


def number(value: float | None, decimals: int = 2, *, sign: bool = False) -> str:
    """Write a number with so many decimals; None is n/a, and what rounds to nothing has no minus sign."""
    if value is None or not math.isfinite(value):
        return MISSING
    digits = f"{value:{'+' if sign else ''},.{decimals}f}"
    return digits.replace("-", "+" if sign else "") if float(digits.replace(",", "")) == 0 else digits


def number_or_dash(value: float | None, decimals: int = 2) -> str:
    """Write a number; None is a dash."""
    return "-" if value is None else number(value, decimals)


def thousandths(value: float | None) -> str:
    """Write a number with three decimals."""
    return number(value, 3)


def signed(value: float | None, decimals: int = 2) -> str:
    """Write a number with its sign."""
    return number(value, decimals, sign=True)


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


def bounds(interval: Bounds, decimals: int = 2) -> str:
    """Write `[low, high]` with signs; n/a when there are none."""
    return MISSING if interval.low is None else f"[{signed(interval.low, decimals)}, {signed(interval.high, decimals)}]"


def estimate(interval: Estimate, decimals: int = 2) -> str:
    """Write a mean with its interval, if it has one."""
    mean = signed(interval.mean, decimals)
    return mean if interval.low is None else f"{mean} {bounds(interval, decimals)}"


def span(interval: Bounds, decimals: int = 2) -> str:
    """Write `low to high`; n/a when there is neither."""
    return MISSING if interval.low is None else f"{number(interval.low, decimals)} to {number(interval.high, decimals)}"


def spread(mean: float | None, deviation: float | None, decimals: int = 2) -> str:
    """Write a mean with its standard deviation, if it has one."""
    return number(mean, decimals) + ("" if deviation is None else f" ± {number(deviation, decimals)}")


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


def p_or_least(test: PermutationTest) -> str:
    """Write the p of a permutation test, and whether no smaller one was possible."""
    return f"{p_value(test.p)} (least)" if test.is_least else p_value(test.p)


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


def raw(value: object) -> str:
    """Write a value for CSV: six significant digits, since machines differ in the last bits; None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value + 0.0:.6g}"
    return str(value)


def csv_rows(names: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return CSV of raw values."""
    buffer = io.StringIO()
    writer = csv_format.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([raw(value) for value in row] for row in rows)
    return buffer.getvalue()
