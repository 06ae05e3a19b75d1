"""A table as data, and its text in Markdown, CSV and LaTeX (booktabs).

Equal tables give equal bytes on every machine.
"""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

MISSING = "n/a"
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    '"': r"\textquotedbl{}",
}


@dataclass(frozen=True)
class Column:
    """One column for readers: its heading and how a line's cell is written.

    `wide` columns hold sentences and may wrap. A column stands in `files`, on the `terminal`, or in both.
    """

    heading: str
    text: Callable[[dict[str, Any]], str]
    wide: bool = False
    place: str = "both"


@dataclass(frozen=True)
class Table:
    """Lines of raw values with the columns that show them. `name` is the file's stem.

    CSV gets the raw `fields` of `data`, or of the lines themselves when `data` is None.
    `terminal` says whether it is printed when the report runs; every table is written to files.
    """

    name: str
    title: str
    columns: Sequence[Column]
    lines: Sequence[dict[str, Any]]
    fields: Sequence[str]
    heading: Sequence[str] = ()
    warning: str | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    terminal: bool = False
    data: Sequence[dict[str, Any]] | None = None

    def shown(self, place: str) -> list[Column]:
        """The columns for `place`, files or terminal."""
        return [column for column in self.columns if column.place in (place, "both")]

    def cells(self, place: str) -> list[list[str]]:
        """The text of every cell, line by line."""
        columns = self.shown(place)
        return [[column.text(line) for column in columns] for line in self.lines]


def number(value: float | None, decimals: int = 2, *, sign: bool = False) -> str:
    """Write a number with so many decimals; None is n/a, and what rounds to nothing has no minus sign."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:{'+' if sign else ''},.{decimals}f}"
    return text.replace("-", "+" if sign else "") if float(text.replace(",", "")) == 0 else text


def interval(low: float | None, high: float | None, decimals: int = 2) -> str:
    """Write `[low, high]` with signs; n/a when there is none."""
    if low is None or high is None:
        return MISSING
    return f"[{number(low, decimals, sign=True)}, {number(high, decimals, sign=True)}]"


def p_value(value: float | None) -> str:
    """Write a p-value with three decimals, and the smallest ones as a bound."""
    if value is None:
        return MISSING
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def count(value: float | None) -> str:
    """Write a large number shortly: 903 k, 12.3 M, 1.25 G."""
    if value is None:
        return MISSING
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}" if abs(value) < 999.5 * size else f"{value / size:.0f} {unit}"
    return f"{value:.0f}"


def ranges(trials: list[int]) -> str:
    """Write numbers as on the command line: 0..3,7."""
    parts: list[list[int]] = []
    for trial in sorted(trials):
        if parts and trial == parts[-1][-1] + 1:
            parts[-1].append(trial)
        else:
            parts.append([trial])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}..{part[-1]}" for part in parts)


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


def markdown(table: Table) -> str:
    """Return the table as Markdown with its heading and notes."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    parts = [f"## {table.title}", ""]
    if table.warning:
        parts += [f"> **{table.warning}**", ""]
    for text in table.heading:
        parts += [text, ""]
    columns = table.shown("files")
    parts.append(line([column.heading for column in columns]))
    parts.append("|" + "|".join(" :-- " if column.wide else " --: " for column in columns) + "|")
    parts += [line(cells) for cells in table.cells("files")]
    for note in table.notes:
        parts += ["", note]
    return "\n".join(parts) + "\n"


def latex(table: Table) -> str:
    """Return the table for LaTeX with booktabs, heading and notes beneath it; needs \\usepackage{booktabs}."""
    # Sentences need a width; numbers set theirs themselves.
    columns = table.shown("files")
    share = 0.9 / max(1, sum(column.wide for column in columns) + 0.25 * len(columns))
    kinds = [rf"p{{{min(share, 0.4):.2f}\linewidth}}" if column.wide else "r" for column in columns]
    rows = [[column.heading for column in columns], *table.cells("files")]
    body = [" & ".join(map(escape_latex, row)) + r" \\" for row in rows]
    beneath = " ".join([*([table.warning] if table.warning else []), *table.heading, *table.notes])
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{escape_latex(table.title)}}}",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{{''.join(kinds)}}}",
            r"\toprule",
            body[0],
            r"\midrule",
            *body[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
            r"\smallskip",
            rf"\parbox{{\linewidth}}{{\footnotesize {escape_latex(beneath)}}}",
            r"\end{table}",
            "",
        ]
    )


def escape_latex(text: str) -> str:
    """Return text with LaTeX's special characters written out."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def files(table: Table) -> dict[str, str]:
    """Return `{file name: text}` of the table in its three formats."""
    return {
        f"{table.name}.md": markdown(table),
        f"{table.name}.csv": csv_text(table.fields, table.lines if table.data is None else table.data),
        f"{table.name}.tex": latex(table),
    }
