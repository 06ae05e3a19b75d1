"""The entry point: read run folders, print the tables, write tables, figures and index.html."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hybridsep.config import config_dir
from hybridsep.config.command_line import Command, parse
from hybridsep.errors import ConfigError, DataError
from hybridsep.streams import run_program

if TYPE_CHECKING:  # so that Ctrl-C is heard while the rest is imported
    from hybridsep.report.settings import ReportSettings

_ALL = ("results", "study", "report")
_CSV = ("csv", "baseline", "margin", "unit", "higher_is_better")
_WATCH = {"--watch": "again and again while the study runs, every watch= seconds"}
COMMANDS = (
    Command("report", "tables, figures and a page of a study, of all, or of csv=FILE", keys=(*_ALL, *_CSV)),
    Command("status", "done, running, missing; hours left; what one more trial buys", (*_ALL, "watch"), flags=_WATCH),
    Command("curves", "a curve a row for TensorBoard: mean over trials, with a band", (*_ALL, "watch"), flags=_WATCH),
    Command("plan", "trials that would settle a question, and their hours", keys=(*_ALL, "plan")),
    Command(
        "compare",
        "two rows: difference, cost, disputed test images; or four: (first less second) less (third less fourth)",
        keys=(*_ALL, "data"),
        rows=(2, 4),
        usage="ROW ROW [ROW ROW]",
        takes="two rows, or four for a difference of differences",
    ),
    Command("forget", "no longer asked for, all trials of a row or some; runs stay", _ALL, (1,), "ROW[=5..9]", "a row"),
    Command("null", "how probable the paper's numbers are by chance alone", keys=_ALL),
    Command("check", "rebuild what stands under results/tables; 1 if it differs", keys=_ALL, argument="--check"),
)
EPILOG = """\
  python -m hybridsep.report study=quick report.subset=all report.pairing=unpaired report.margin=0.5
  python -m hybridsep.report csv=FILE baseline=ROW      everybody's trials: row,trial,error, a line a trial

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

    if "calibrate" in words:
        raise ConfigError("calibrate is a developers' benchmark now: make bench-calibration (docs/calibration.md)")
    path = config_dir() / "report.yaml"
    typed = parse("hybridsep.report", COMMANDS, words, load=settings.load, path=path, epilog=EPILOG)
    if typed is None:
        return 0
    given = typed.settings
    if typed.command == "compare":
        if any(row == other for row, other in zip(typed.rows[::2], typed.rows[1::2], strict=True)):
            raise ConfigError("compare takes two rows that differ")
        return _compare(given, *typed.rows)
    if typed.command == "forget":
        from hybridsep.report.forget import forget

        print(forget(given, typed.rows[0]))
        return 0
    if typed.command == "report":
        return _report(given, of_git="study=all" in words)
    return _PROGRAMS[f"watch {typed.command}" if typed.flags else typed.command](given)


def _compare(given: "ReportSettings", *rows: str) -> int:
    from hybridsep.report import contrasts, folders, output, pair, runset, settings, terminal

    results, paper, screen = Path(given.results), settings.paper(), terminal.console()
    names, compared = folders.choose(results, given.study), False
    there: set[str] = set()
    apart: list[str] = []
    for name in names:
        runs, problems = folders.read(results, [name])
        there |= {run.row for run in runs if run.status == "finished"}
        runsets, left_out = runset.split(name, runs, paper, given.report)
        together = contrasts.joined(runsets, rows)
        if together is None:
            apart += [one.message for one in left_out if not set(rows).isdisjoint(one.message.split())]
            continue
        compared = True
        for problem in problems:
            print(f"left out: {problem.message}", file=sys.stderr)
        if len(rows) == 2:
            for table in pair.tables_of(together, given.report):
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
    if not compared and there.issuperset(rows) and apart:
        raise ConfigError(f"{' and '.join(rows)} cannot be compared: {'; '.join(apart)}")
    if not compared:
        known = f"; there are {', '.join(sorted(there))}" if there else ""
        raise ConfigError(f"study={given.study} has no finished trials of {' and '.join(rows)}{known}")
    return 0


def _csv(given: "ReportSettings") -> int:
    from dataclasses import replace

    from hybridsep.report import given as everybodys
    from hybridsep.report import output, terminal, trials_file

    path, results = Path(str(given.csv)), Path(given.results)
    if given.unit != "%" and given.margin is None:
        raise ConfigError(f"margin= is needed, in {given.unit}: within how much two rows count as equal")
    choices = replace(given.report, margin=given.margin or given.report.margin)
    one = trials_file.runset_of(
        trials_file.read(path),
        name=trials_file.slug(path),
        baseline=given.baseline,
        unit=given.unit,
        higher_is_better=given.higher_is_better,
        folder=path.parent,
    )
    report = everybodys.document(one, choices, {"csv": path.name})
    made = output.files_of(report, draw=choices.draw)
    output.write(results, one.study, made.content)
    screen = terminal.console()
    terminal.show(screen, report.terminal())
    for problem in made.problems:
        print(problem, file=sys.stderr)
    shown = output.INDEX if choices.draw else output.MARKDOWN
    screen.print(f"Written: {len(made.content)} files; open {results}/tables/{one.study}/{shown}", soft_wrap=True)
    return 0


def _report(given: "ReportSettings", *, of_git: bool) -> int:
    if given.csv is not None:
        return _csv(given)
    for key in ("baseline", "margin"):
        if getattr(given, key) is not None:
            raise ConfigError(f"{key}= belongs to csv=FILE; of a study it is report.{key}=")
    from hybridsep.report import document, folders, output, settings, terminal

    results, paper = Path(given.results), settings.paper()
    refused, reports = 0, []
    names = folders.choose(results, given.study)
    if given.study == "all" and not of_git and (kept := folders.committed(results)):
        names = [name for name in names if name not in kept]
        print(f"not rewritten, as git tracks them: {', '.join(kept)}; study=NAME or study=all does", file=sys.stderr)
    for name in names:
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
        terminal.print_table(screen, status.look(results, name, runs, problems, paper, given.report).table)
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
    "status": _status,
    "watch status": _watch_status,
    "curves": _curves,
    "watch curves": _watch_curves,
    "plan": _plan,
    "null": _null,
    "check": _check,
}


if __name__ == "__main__":
    sys.exit(main())
