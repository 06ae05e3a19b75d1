"""A column is a function of a line whose type mypy knows."""

import ast
from pathlib import Path

import pytest

from hybridsep.report import document, settings
from hybridsep.report.table import Column, build, csv_only

ROOT = Path(__file__).resolve().parents[2]
FILES = [*ROOT.glob("src/hybridsep/**/*.py"), *ROOT.glob("scripts/benchmarks/*.py")]


def untyped(source: str) -> list[int]:
    """Return the lines of columns with a lambda of which mypy does not know what it takes.

    mypy knows it in an annotated assignment, of one column or of a list of them, and of `Column[Line](...)`. Without
    it, as after `return` or `*`, it takes the line for Any, and a misspelt field for an attribute.
    """
    tree = ast.parse(source)
    known: set[ast.expr] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            known |= {node.value, *(node.value.elts if isinstance(node.value, ast.List) else ())}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("Column", "csv_only", "bounds_column", "estimate_column")
        and any(isinstance(value, ast.Lambda) for value in (*node.args, *(word.value for word in node.keywords)))
        and node not in known
    ]


@pytest.mark.parametrize("path", [path for path in FILES if "Column" in path.read_text()], ids=lambda path: path.stem)
def test_mypy_knows_the_line_of_every_column(path):
    assert untyped(path.read_text()) == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("columns: list[Column[Row]] = [Column('n', lambda row: row.n), csv_only('m', lambda row: row.m)]", []),
        ("column: Column[Row] = Column('n', lambda row: row.n)", []),
        ("column = Column('n', lambda row: row.n)", [1]),
        ("columns: list[Column[Row]] = [*[Column('n', lambda row: row.n)]]", [1]),
        ("def one() -> Column[Row]:\n    return csv_only('n', lambda row: row.n)", [2]),
        ("def one() -> Column[Row]:\n    return Column[Row]('n', lambda row: row.n)", []),
    ],
)
def test_which_columns_mypy_cannot_check(code, lines):
    assert untyped(code) == lines


def test_a_column_is_declared_once_for_cells_and_csv():
    columns: list[Column[float]] = [
        csv_only("double", lambda value: 2 * value),
        Column(
            "Value", lambda value: value, "{:.1f}".format, csv="value", instead=lambda value: "" if not value else None
        ),
        Column("Both", lambda value: f"{value} of 3", csv={"part": lambda value: value, "whole": lambda value: 3.0}),
        Column("Short", str, place="terminal"),
    ]
    table = build("t", "T", columns, [0.0, 1 / 3])
    assert table.csv == "double,value,part,whole\n0,0,0,3\n0.666667,0.333333,0.333333,3\n"
    assert table.cells("files") == [["", "0.0 of 3"], ["0.3", "0.3333333333333333 of 3"]]
    assert [column.heading for column in table.shown("terminal")] == ["Value", "Both", "Short"]


def test_what_explains_a_column_stands_where_the_column_stands():
    columns: list[Column[float]] = [
        Column("Value", lambda value: value, note="Value: in points."),
        Column("Square", lambda value: value**2, place="files", note="Square: of the value."),
        Column("Half", lambda value: value / 2, when=False, note="Half: of the value."),
    ]
    table = build("t", "T", columns, [1.0], notes=["Three lines."])
    assert table.notes_in("files") == ["Value: in points. Square: of the value.", "Three lines."]
    assert table.notes_in("terminal") == ["Value: in points.", "Three lines."]
    assert build("t", "T", columns[2:], [1.0]).notes_in("files") == []


@pytest.mark.parametrize("place", ["files", "terminal"])
def test_no_note_of_a_report_explains_a_column_that_is_not_shown(place):
    options = settings.load(["report.redraws=1", "report.resamples=99", "report.groups=100"]).report
    tables = list(document.make(ROOT / "results", "figure6-quick", settings.paper(), options).tables())
    assert "figure6" in [table.name for table in tables]
    for table in tables:
        shown = {column.heading for column in table.shown(place)}
        for heading in {column.heading for column in table.columns} - shown:
            assert f"{heading}:" not in " ".join(table.notes_in(place)), (table.name, heading)
