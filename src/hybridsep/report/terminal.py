"""Tables on the terminal, within its width; plain text of 100 columns when the output is a file."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from hybridsep import streams
from hybridsep.report.table import Table

WIDTH = 100


def console() -> Console:
    """Return a console for standard output: as wide as the terminal or COLUMNS, else as the tables are made for."""
    return Console(highlight=False, width=streams.width_of_stdout(WIDTH))


def show(screen: Console, tables: Iterable[Table]) -> None:
    """Print the tables that are meant for the terminal; a heading that repeats is printed once."""
    shown: tuple[str | None, Sequence[str]] = (None, ())
    for table in tables:
        if not table.terminal:
            continue
        if (table.warning or table.heading) and (table.warning, table.heading) != shown:
            shown = (table.warning, table.heading)
            if table.warning:
                screen.print(Text(table.warning, style="bold yellow"))
            for line in table.heading:
                screen.print(Text(line, style="dim"))
            screen.print()
        print_table(screen, table)


def print_table(screen: Console, table: Table) -> None:
    """Print one table with its notes."""
    grid = RichTable(
        title=Text(table.title),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    cells = list(table.cells("terminal"))
    for place, column in enumerate(table.shown("terminal")):
        if column.wide:
            grid.add_column(Text(column.heading), justify="left", overflow="fold", min_width=12)
        else:
            whole = max(map(cell_len, [column.heading, *(line[place] for line in cells)]))
            grid.add_column(Text(column.heading), justify="right", no_wrap=True, min_width=whole)
    for line in cells:
        grid.add_row(*map(Text, line))
    # A column too many for the width is still printed, whole; the terminal breaks its lines.
    least = Measurement.get(screen, screen.options.update(max_width=10_000), grid).minimum
    if least > screen.width:
        grid.width = least
    screen.print(grid, crop=False, no_wrap=True, overflow="ignore")
    screen.print()
    notes = table.notes_in("terminal")
    for note in notes:
        screen.print(Text(note, style="dim"))
    if notes:
        screen.print()
