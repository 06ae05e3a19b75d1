"""The entry point: read run folders, print the tables, write tables, figures and index.html."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hybridsep.errors import ConfigError, DataError
from hybridsep.streams import run_program

if TYPE_CHECKING:  # so that Ctrl-C is heard while the rest is imported
    from hybridsep.report.settings import ReportSettings

HELP = """\
hybridsep.report: what the runs prove. Reads results/runs; writes results/tables and results/figures.

  python -m hybridsep.report study=quick                one study
  python -m hybridsep.report                            all of them
  python -m hybridsep.report study=quick report.subset=all report.pairing=unpaired report.margin=0.5
  python -m hybridsep.report status study=quick         done, running, missing; hours left; what one more trial buys
  python -m hybridsep.report status study=quick --watch the same again and again while the study runs
  python -m hybridsep.report curves study=quick         a curve a row for TensorBoard: mean over trials, with a band
  python -m hybridsep.report curves study=quick --watch the same, kept up to date while the study runs
  python -m hybridsep.report plan study=quick           trials that would settle it, and their hours
  python -m hybridsep.report compare resnext hybrid study=quick      two rows: difference, cost, disputed test images
  python -m hybridsep.report forget resnext=5..9 study=quick         no longer asked for; runs stay
  python -m hybridsep.report compare A B C D study=quick    a difference of differences: (A less B) less (C less D)
  python -m hybridsep.report null study=quick           how probable the paper's numbers are by chance alone
  python -m hybridsep.report calibrate                  how often intervals, tests and verdicts are right, simulated
  python -m hybridsep.report --check                    rebuild what stands under results/tables; 1 if it differs

Every key with its value (set with key=value; what each means stands in conf/report.yaml):
"""
COMMANDS = {
    "status": "status",
    "curves": "curves",
    "plan": "plan",
    "calibrate": "calibrate",
    "null": "null",
    "check": "--check",
}
FOOT = """
Exit status: 0 done, 1 a study has no table (or no curves, or nothing to plan by) or --check found a difference,
2 something to mend (one line says what), 130 interrupted (Ctrl-C).
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its status: 0 done, 1 refused or different, 2 something to mend."""
    words = sys.argv[1:] if arguments is None else arguments
    os.environ["MPLBACKEND"] = "agg"  # a notebook sets its own for its child processes, which need not have it
    return run_program("hybridsep.report", lambda: _main(words))


def _main(words: list[str]) -> int:
    from hybridsep.report import settings

    if {"--help", "-h"} & set(words):
        print(HELP + settings.describe() + FOOT, end="")
        return 0
    named = [name for name, word in COMMANDS.items() if word in words]
    if len(named) > 1:
        raise ConfigError(f"{' and '.join(COMMANDS[name] for name in named)} are two commands; give one of them")
    command = named[0] if named else "report"
    if "--watch" in words:
        if command not in ("status", "curves"):
            raise ConfigError("--watch belongs to status and curves: python -m hybridsep.report status --watch")
        command = f"watch {command}"
    if "forget" in words:
        return _forget(words)
    words, rows = _rows_of(words) if "compare" in words else (words, ())
    given = settings.load([word for word in words if word not in (*COMMANDS.values(), "--watch")])
    if rows:
        if named:
            raise ConfigError(f"compare and {COMMANDS[named[0]]} are two commands; give one of them")
        return _compare(given, *rows)
    return _PROGRAMS[command](given)


def _rows_of(words: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Take `compare ROW ROW` out of the words; return the others and the rows, two or four. Raises ConfigError."""
    at = words.index("compare")
    rows = [word for word in words[at + 1 :] if "=" not in word and not word.startswith("-")]
    if len(rows) not in (2, 4) or any(first == second for first, second in zip(rows[::2], rows[1::2], strict=True)):
        raise ConfigError(
            "compare takes two rows: python -m hybridsep.report compare resnext hybrid study=quick; or four, for a"
            " difference of differences: (first less second) less (third less fourth)"
        )
    return [word for word in words if word != "compare" and word not in rows], tuple(rows)


def _forget(words: list[str]) -> int:
    from hybridsep.report import settings
    from hybridsep.report.forget import forget

    at = words.index("forget")
    if at + 1 == len(words):
        raise ConfigError("forget takes a row: python -m hybridsep.report forget resnext=5..9 study=quick")
    print(forget(settings.load([*words[:at], *words[at + 2 :]]), words[at + 1]))
    return 0


def _compare(given: "ReportSettings", *rows: str) -> int:
    from hybridsep.report import contrasts, folders, output, pair, runset, settings, terminal

    results, paper, screen = Path(given.results), settings.paper(), terminal.console()
    names, compared = folders.choose(results, given.study), False
    there: set[str] = set()
    for name in names:
        runs, problems = folders.read(results, [name])
        there |= {run.row for run in runs if run.status == "finished"}
        together = contrasts.joined(runset.split(name, runs, paper, given.report)[0], rows)
        if together is None:
            continue
        compared = True
        for problem in problems:
            print(f"left out: {problem.message}", file=sys.stderr)
        if len(rows) == 2:
            for table in pair.tables(together, given.report):
                terminal.print_table(screen, table)
        found = contrasts.of_rows(together, rows, given.report)
        terminal.print_table(screen, contrasts.table("contrast", "On all test images", [found], given.report))
        if given.report.draw and len(rows) == 2:
            try:
                drawn = pair.picture(together, pair.dataset(together, given.data))
            except DataError as error:
                print(f"no picture: {error}; data=PATH names its images", file=sys.stderr)
                continue
            path = results / "figures" / name / "compare" / f"{'-'.join(rows)}.png"
            output.write_files(results, {path.relative_to(results).as_posix(): drawn})
            screen.print(f"Written: {path}", soft_wrap=True)
    if not compared:
        known = f"; there are {', '.join(sorted(there))}" if there else ""
        raise ConfigError(f"study={given.study} has no finished trials of {' and '.join(rows)}{known}")
    return 0


def _report(given: "ReportSettings") -> int:
    from hybridsep.report import document, folders, output, settings, terminal

    results, paper = Path(given.results), settings.paper()
    refused, reports = 0, []
    for name in folders.choose(results, given.study):
        report = document.make(results, name, paper, given.report)
        lines = []
        if report.sections:
            files = output.files_of(report, draw=given.report.draw)
            output.write(results, name, files.content)
            shown = output.INDEX if given.report.draw else output.MARKDOWN
            lines.append(f"Written: {len(files.content)} files; open {results}/tables/{name}/{shown}")
            for message in files.problems:
                print(message, file=sys.stderr)
        refused += not report.sections
        reports.append((list(report.terminal()), report.problems, lines))
    # Only now, since whoever reads the terminal may leave early (`| head`).
    screen = terminal.console()
    for tables, problems, lines in reports:
        terminal.show(screen, tables)
        for problem in problems:
            print(f"left out: {problem.message}", file=sys.stderr)
        for line in lines:
            screen.print(line, soft_wrap=True)
    return 1 if refused else 0


def _status(given: "ReportSettings") -> int:
    from hybridsep.report import folders, settings, status, terminal

    results, paper, screen = Path(given.results), settings.paper(), terminal.console()
    for name in status.studies_of(results, given.study):
        runs, problems = folders.read(results, [name])
        terminal.print_table(screen, status.look(results, name, runs, problems, paper, given.report))
        for table in status.one_more_trial(name, runs, paper, given.report):
            terminal.print_table(screen, table)
        for problem in problems:
            print(f"unusable: {problem.message}", file=sys.stderr)
    return 0


def _plan(given: "ReportSettings") -> int:
    from hybridsep.report import folders, plan, runset, settings, terminal

    results, paper, screen = Path(given.results), settings.paper(), terminal.console()
    if given.report.pairing != "paired":
        raise ConfigError("plan is for paired trials; leave report.pairing=unpaired out")
    empty = 0
    for name in folders.choose(results, given.study):
        runs, problems = folders.read(results, [name])
        if given.study == "all" and not (runs or problems):
            # A study of speed has no trials.
            continue
        runsets, refused = runset.split(name, runs, paper, given.report)
        for problem in [*problems, *refused]:
            print(f"left out: {problem.message}", file=sys.stderr)
        ready = [one for one in runsets if plan.can_be_planned(one)]
        if not ready:
            empty += 1
            print(f"left out: {name}: no row has two trials that its baseline has too, so no spread", file=sys.stderr)
        for one in ready:
            terminal.print_table(screen, plan.needed(one, given.report, given.plan))
            terminal.print_table(screen, plan.predicted(one, given.report))
    return 1 if empty else 0


def _null(given: "ReportSettings") -> int:
    from hybridsep.report import folders, null, runset, settings, terminal

    results, paper, screen = Path(given.results), settings.paper(), terminal.console()
    shown = 0
    for name in folders.choose(results, given.study):
        runs, _ = folders.read(results, [name])
        for one in runset.split(name, runs, paper, given.report)[0]:
            table = null.table(one, paper)
            if table:
                terminal.print_table(screen, table)
                shown += 1
    if not shown:
        print("left out: no baseline with two trials in a table of the paper that calls rows the same", file=sys.stderr)
    return 0 if shown else 1


def _calibrate(given: "ReportSettings") -> int:
    from hybridsep.report import calibration, calibration_functions, render, terminal

    screen = terminal.console()
    tables = calibration.tables(given.report, given.calibrate)
    for table in [*tables, calibration_functions.table(given.report, given.calibrate)]:
        if given.calibrate.markdown:
            print(render.markdown(table))
        else:
            terminal.print_table(screen, table)
    return 0


def _curves(given: "ReportSettings") -> int:
    from hybridsep.report import curves, status

    results = Path(given.results)
    empty = 0
    for name in status.studies_of(results, given.study):
        if given.study == "all" and not (results / "runs" / name).is_dir():
            # A study of speed has no trials.
            continue
        written = curves.write(results, name)
        for problem in written.problems:
            print(f"left out: {problem}", file=sys.stderr)
        if not written.rows:
            empty += 1
            print(f"left out: {name}: no trial has finished an epoch yet", file=sys.stderr)
        else:
            print(written.line)
    return 1 if empty else 0


def _watch_status(given: "ReportSettings") -> int:
    from hybridsep.report import watch

    watch.watch_status(given)
    return 0


def _watch_curves(given: "ReportSettings") -> int:
    from hybridsep.report import watch

    watch.watch_curves(given)
    return 0


def _check(given: "ReportSettings") -> int:
    from hybridsep.report import check

    results = Path(given.results)
    names = check.reported(results, given.study)
    differences = [text for name in names for text in check.differences(results, name)]
    for text in differences:
        print(text)
    if not differences:
        print(f"{len(names)} {'report' if len(names) == 1 else 'reports'} rebuilt, nothing differs: {', '.join(names)}")
    return 1 if differences else 0


_PROGRAMS = {
    "report": _report,
    "status": _status,
    "watch status": _watch_status,
    "curves": _curves,
    "watch curves": _watch_curves,
    "plan": _plan,
    "calibrate": _calibrate,
    "null": _null,
    "check": _check,
}


if __name__ == "__main__":
    sys.exit(main())
