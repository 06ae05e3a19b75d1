"""Tables on the terminal: however narrow it is, every column and every cell is there."""

import pytest
from rich.console import Console

from hybridsep.report import terminal
from hybridsep.report.table import Head, Table

ROW = "A row that is called by many words"


@pytest.mark.parametrize("width", [30, 70, 100, 200])
def test_every_column_is_printed_whole(width):
    columns = [Head("Row", True, "both"), *(Head(f"column {place}", False, "both") for place in range(8))]
    lines = [[ROW, *(f"-0.{place} [1, 2]" for place in range(8))]]
    screen = Console(width=width, highlight=False)
    with screen.capture() as capture:
        terminal.print_table(screen, Table("name", "Title", columns, lines, ""))
    printed = capture.get()
    assert all(f"column {place}" in printed and f"-0.{place} [1, 2]" in printed for place in range(8))
    assert "Row" in printed and all(word in printed for word in ROW.split()) and "…" not in printed
