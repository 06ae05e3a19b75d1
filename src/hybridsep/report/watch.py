"""`status --watch` and `curves --watch`: running studies, looked at again and again from another terminal."""

import datetime
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hybridsep.report import curves, folders, status, terminal
from hybridsep.report.settings import ReportSettings, paper
from hybridsep.report.table import Table

Sleep = Callable[[float], None]


def watch_status(given: ReportSettings, *, sleep: Sleep = time.sleep) -> None:
    """Print the state of the studies every `given.watch` seconds, until nothing is left to be trained or Ctrl-C."""

    def look(screen: Console, tables: list[Table]) -> None:
        for table in tables:
            terminal.print_table(screen, table)

    _repeat(look, given, sleep)


def watch_curves(given: ReportSettings, *, sleep: Sleep = time.sleep) -> None:
    """Keep the mean curves of the studies up to date in the same way; what was written is said, a problem once."""
    told: set[str] = set()

    def look(screen: Console, tables: list[Table]) -> None:
        results = Path(given.results)
        for name in status.studies_of(results, given.study):
            written = curves.write(results, name)
            screen.print(Text(written.line))
            for problem in written.problems:
                if problem not in told:
                    print(f"left out: {problem}", file=sys.stderr)
            told.update(written.problems)

    _repeat(look, given, sleep)


def _repeat(look: Callable[[Console, list[Table]], None], given: ReportSettings, sleep: Sleep) -> None:
    """Call `look` with the progress of each study until nothing is left to be trained; the progress is read first.

    So the last look sees the end of every trial. On a terminal it takes the place of the one before.
    """
    screen, results, known = terminal.console(), Path(given.results), folders.Known()
    try:
        while True:
            progress = []
            for name in status.studies_of(results, given.study):
                runs, problems = folders.read(results, [name], known)
                progress.append(status.look(results, name, runs, problems, paper(), given.report))
            if screen.is_terminal and not screen.is_dumb_terminal and sys.stdout.isatty():
                screen.clear()
            look(screen, [one.table for one in progress])
            if not any(one.unfinished for one in progress):
                return
            screen.print(
                Text(f"{datetime.datetime.now():%H:%M:%S}, again in {given.watch:g} s; Ctrl-C ends", style="dim")
            )
            sleep(given.watch)
    except KeyboardInterrupt:
        return
