"""Fill in the tables and numbers that README.md and docs/ quote from results/; with --check, say which are out of date.

    <!-- table: results/tables/STUDY/report.md#NAME -->      the table under that anchor; #2: the second of a file
    <!-- /table -->                                          ... columns=Pair,p_Holm --> takes these columns of it
    <!-- value: results/tables/STUDY/NAME.csv row=hybrid mean +.2f -->-0.76<!-- /value -->     one cell, formatted
    <!-- value: results/bench/NAME.md Row=all_rows Ratio s -->x 4.00<!-- /value -->     a Markdown cell as it is

Numbers in a text are then never typed: they come from files that a command rebuilds. In the names and values of a
Markdown table `_` stands for a space.
"""

import csv
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = re.compile(r"(<!-- table: (\S+)(?: columns=(\S+))? -->\n)(.*?)(<!-- /table -->)", re.DOTALL)
VALUE = re.compile(r"(<!-- value: (\S+\.(?:csv|md)) (.+?) (\S+) (\S+) -->)(.*?)(<!-- /value -->)", re.DOTALL)


class QuoteError(Exception):
    """A quote names a file, table, row or column that is not there."""


def table(source: str, columns: str | None = None) -> str:
    """Return a Markdown table of a generated file: the one under the anchor `#name`, or the second with `#2`.

    `columns`: their names, joined by commas; all where it is None.
    """
    path, _, name = source.partition("#")
    text = read(path)
    number = int(name) if name.isdigit() else 1
    if name and not name.isdigit():
        _, _, text = text.partition(f'<a id="{name}"></a>')
    tables = tables_of(text.partition("<a id=")[0])
    if len(tables) < number:
        raise QuoteError(f"{source}: no table there")
    return tables[number - 1] if columns is None else _columns(tables[number - 1], columns.split(","), source)


def _columns(text: str, names: list[str], source: str) -> str:
    lines = [_cells(line) for line in text.splitlines()]
    head = [name.replace(" ", "_") for name in lines[0]]
    if missing := set(names) - set(head):
        raise QuoteError(f"{source}: no column {', '.join(sorted(missing))}; there are {', '.join(head)}")
    places = [head.index(name) for name in names]
    return "".join(f"| {' | '.join(line[place] for place in places)} |\n" for line in lines)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def tables_of(text: str) -> list[str]:
    """Return the Markdown tables of a text."""
    return re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)


def lines_of(path: str) -> list[dict[str, str]]:
    """Return the lines of a CSV file, or of all tables of a Markdown file, as `{column: cell}`."""
    if path.endswith(".csv"):
        return list(csv.DictReader(read(path).splitlines()))
    lines = []
    for one in tables_of(read(path)):
        head, _, *cells = (_cells(line) for line in one.splitlines())
        lines += [dict(zip((name.replace(" ", "_") for name in head), line, strict=True)) for line in cells]
    return lines


def value(path: str, where: str, column: str, form: str) -> str:
    """Return one cell of a file; `where` is column=value (`row=hybrid`), several of them joined by commas."""
    wanted = dict(part.split("=", 1) for part in where.split(","))
    if path.endswith(".md"):
        wanted = {name: cell.replace("_", " ") for name, cell in wanted.items()}
    rows = [row for row in lines_of(path) if column in row and all(row.get(k) == v for k, v in wanted.items())]
    if len(rows) != 1:
        raise QuoteError(f"{path}: {len(rows)} lines have {where} and a column {column}")
    cell = rows[0][column]
    return cell if form == "s" else format(float(cell), form)


def read(path: str) -> str:
    """Return a file of the repository; of benchmarks only what is not rough."""
    try:
        if path.startswith("results/bench/"):
            reasons = json.loads((ROOT / path).with_suffix(".json").read_text()).get("rough")
            if reasons:
                raise QuoteError(f"{path}: rough numbers are not quoted: {'; '.join(reasons)}")
        return (ROOT / path).read_text()
    except OSError as error:
        raise QuoteError(f"{path}: {error.strerror}") from error


def filled(text: str) -> str:
    """Return a text with every quote as its source says it."""
    text = TABLE.sub(lambda match: match[1] + table(match[2], match[3]) + match[5], text)
    return VALUE.sub(lambda match: match[1] + value(match[2], match[3], match[4], match[5]) + match[7], text)


def main(arguments: list[str]) -> int:
    """Rewrite the files, or compare them; return the exit status."""
    stale = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text()
        try:
            fresh = filled(text)
        except QuoteError as error:
            print(f"{path.relative_to(ROOT)}: {error}", file=sys.stderr)
            return 2
        if fresh != text:
            stale.append(str(path.relative_to(ROOT)))
            if "--check" not in arguments:
                path.write_text(fresh)
    if stale:
        print(f"{'Out of date' if '--check' in arguments else 'Renewed'}: {', '.join(stale)}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
