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


def watch_status(settings: ReportSettings, *, sleep: Sleep = time.sleep) -> None:
    """Print the state of the studies every `settings.watch` seconds, until nothing is left to be trained or Ctrl-C."""

    def look(screen: Console, tables: list[Table]) -> None:
        for table in tables:
            terminal.print_table(screen, table)

    _repeat(look, settings, sleep)


def watch_curves(settings: ReportSettings, *, sleep: Sleep = time.sleep) -> None:
    """Keep the mean curves of the studies up to date in the same way; a problem is printed once."""
    printed: set[str] = set()

    def look(screen: Console, tables: list[Table]) -> None:
        results = Path(settings.results)
        for name in folders.choose(results, settings.study):
            written = curves.write(results, name)
            screen.print(Text(written.line))
            for problem in written.problems:
                if problem not in printed:
                    print(f"left out: {problem}", file=sys.stderr)
            printed.update(written.problems)

    _repeat(look, settings, sleep)


def _repeat(look: Callable[[Console, list[Table]], None], settings: ReportSettings, sleep: Sleep) -> None:
    """Call `look` with the progress of each study until nothing is left to be trained; the progress is read first.

    So the last look sees the end of every trial. On a terminal it takes the place of the one before.
    """
    screen, results, cache = terminal.console(), Path(settings.results), folders.Cache()
    try:
        while True:
            progress = []
            for name in folders.choose(results, settings.study):
                runs, problems = folders.read(results, [name], cache)
                progress.append(status.look(results, name, runs, problems, paper(), settings.report))
            if screen.is_terminal and not screen.is_dumb_terminal and sys.stdout.isatty():
                screen.clear()
            look(screen, [one.table for one in progress])
            if not any(one.unfinished for one in progress):
                return
            now = f"{datetime.datetime.now():%H:%M:%S}"
            screen.print(Text(f"{now}, again in {settings.watch:g} s; Ctrl-C ends", style="dim"))
            sleep(settings.watch)
    except KeyboardInterrupt:
        return
