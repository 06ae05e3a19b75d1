"""`status --watch`: the state of running studies, looked at again and again from another terminal."""

import datetime
import time
from collections.abc import Callable
from pathlib import Path

from rich.text import Text

from hybridsep.report import folders, status, terminal
from hybridsep.report.settings import ReportSettings, paper
from hybridsep.report.table import Table


def watch(given: ReportSettings, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Print the state of the studies every `given.watch` seconds, until nothing is left to be trained or Ctrl-C.

    On a terminal in place of what stood there, elsewhere one block after another.
    """
    screen, results = terminal.console(), Path(given.results)
    try:
        while True:
            tables = []
            for name in status.studies_of(results, given.study):
                runs, problems = folders.read(results, [name])
                tables.append(status.look(results, name, runs, problems, paper(), given.report))
            if screen.is_terminal:
                screen.clear()
            for table in tables:
                terminal.print_table(screen, table)
            if not any(_left(table) for table in tables):
                return
            screen.print(
                Text(f"{datetime.datetime.now():%H:%M:%S}, again in {given.watch:g} s; Ctrl-C ends", style="dim")
            )
            sleep(given.watch)
    except KeyboardInterrupt:
        return


def _left(progress: Table) -> bool:
    """Return whether a trial of the table is still to be trained; diverged ones are not."""
    counts = [line["counts"] for line in progress.lines if "counts" in line]
    return any(number for count in counts for state, number in count.items() if state != "diverged")
