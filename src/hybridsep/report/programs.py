"""What each command of `python -m hybridsep.report` does: it prints, and returns the exit status."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from hybridsep.config.command_line import Arguments
from hybridsep.errors import ConfigError, DataError
from hybridsep.report import (
    check,
    contrasts,
    curves,
    document,
    folders,
    null,
    output,
    pair,
    plan,
    runset,
    status,
    terminal,
    trials_file,
    trials_report,
    watch,
)
from hybridsep.report import forget as forgetting
from hybridsep.report.document import Document
from hybridsep.report.settings import ReportSettings, paper
from hybridsep.runs.record import State

ReportArguments = Arguments[ReportSettings]


def run(arguments: ReportArguments) -> int:
    """Carry out the command that was typed and return its exit status. Raises UserError."""
    programs = {
        "report": _report,
        "status": _status,
        "curves": _curves,
        "plan": _plan,
        "compare": _compare,
        "forget": _forget,
        "null": _null,
        "check": _check,
    }
    return programs[arguments.command](arguments)


def _left_out(messages: Iterable[str], why: str = "left out") -> None:
    for message in messages:
        print(f"{why}: {message}", file=sys.stderr)


def _report(arguments: ReportArguments) -> int:
    settings, results = arguments.settings, Path(arguments.settings.results)
    missing, finished = 0, []
    for report in _documents(settings):
        lines = []
        if report.sections:
            files = output.files_of(report, draw=settings.report.draw)
            output.write(results, report.study, files.content)
            page = results / "tables" / report.study / (output.INDEX if settings.report.draw else output.MARKDOWN)
            lines.append(f"Written: {len(files.content)} files; open {page}")
            for message in files.problems:
                print(message, file=sys.stderr)
        missing += not report.sections
        finished.append((list(report.terminal()), report.problems, lines))
    # Only now, since whoever reads the terminal may leave early (`| head`).
    screen = terminal.console()
    for tables, problems, lines in finished:
        terminal.show(screen, tables)
        _left_out(problem.message for problem in problems)
        for line in lines:
            screen.print(line, soft_wrap=True)
    return 1 if missing else 0


def _documents(settings: ReportSettings) -> Iterator[Document]:
    """Make the reports that are asked for, one after the other."""
    results = Path(settings.results)
    if settings.csv is not None:
        if settings.study is not None:
            raise ConfigError(f"study={settings.study} and csv= do not go together: a report is of one or the other")
        yield _of_csv(settings, Path(settings.csv))
        return
    for key, given_value, instead in (
        ("baseline", settings.baseline is not None, "of a study it is report.baseline="),
        ("margin", settings.margin is not None, "of a study it is report.margin="),
        ("unit", settings.unit != "%", "a study has test errors in percent"),
        ("higher_is_better", settings.higher_is_better, "a study has test errors"),
    ):
        if given_value:
            raise ConfigError(f"{key}= belongs to csv=FILE; {instead}")
    names = folders.choose(results, settings.study, speed=True)
    kept = folders.committed(results) if settings.study is None else []
    if kept:
        print(f"not rewritten, as git tracks them: {', '.join(kept)}; study=NAME or study=all does", file=sys.stderr)
    for name in names:
        if name not in kept:
            yield document.make(results, name, paper(), settings.report)


def _of_csv(settings: ReportSettings, path: Path) -> Document:
    if settings.unit != "%" and settings.margin is None:
        raise ConfigError(f"margin= is needed, in {settings.unit}: within how much two rows count as equal")
    options = replace(settings.report, margin=settings.margin or settings.report.margin)
    trials = trials_file.runset_of(
        trials_file.read(path),
        name=trials_file.slug(path),
        baseline=settings.baseline,
        margin=options.margin,
        unit=settings.unit,
        higher_is_better=settings.higher_is_better,
        folder=path.parent,
        source=str(path),
    )
    made_with = {"csv": path.name, "unit": settings.unit, "higher_is_better": settings.higher_is_better}
    return trials_report.document(trials, options, made_with)


def _status(arguments: ReportArguments) -> int:
    settings, results, screen = arguments.settings, Path(arguments.settings.results), terminal.console()
    if arguments.flags:
        watch.watch_status(settings)
        return 0
    for name in folders.choose(results, settings.study):
        runs, problems = folders.read(results, [name])
        terminal.print_table(screen, status.look(results, name, runs, problems, paper(), settings.report).table)
        for table in status.one_more_trial(name, runs, paper(), settings.report):
            terminal.print_table(screen, table)
        _left_out((problem.message for problem in problems), "unusable")
    return 0


def _curves(arguments: ReportArguments) -> int:
    settings, results, empty = arguments.settings, Path(arguments.settings.results), 0
    if arguments.flags:
        watch.watch_curves(settings)
        return 0
    for name in folders.choose(results, settings.study):
        written = curves.write(results, name)
        _left_out(written.problems)
        if written.rows:
            print(written.line)
        else:
            empty += 1
            _left_out([f"{name}: no trial has finished an epoch yet"])
    return 1 if empty else 0


def _plan(arguments: ReportArguments) -> int:
    settings, results, screen, empty = arguments.settings, Path(arguments.settings.results), terminal.console(), 0
    for name in folders.choose(results, settings.study):
        runs, problems = folders.read(results, [name])
        runsets, refused = runset.split(name, runs, paper(), settings.report)
        _left_out(problem.message for problem in [*problems, *refused])
        ready = [one for one in runsets if plan.can_be_planned(one)]
        if not ready:
            empty += 1
            _left_out([f"{name}: no row has two trials that its baseline has too, so no spread"])
        for one in ready:
            terminal.print_table(screen, plan.needed(one, settings.report, settings.plan))
            terminal.print_table(screen, plan.predicted(one, settings.report))
        if ready and (together := plan.pooled(ready, settings.report, settings.plan)):
            terminal.print_table(screen, together)
    return 1 if empty else 0


def _compare(arguments: ReportArguments) -> int:
    settings, rows, screen = arguments.settings, arguments.rows, terminal.console()
    results = Path(settings.results)
    if any(row == other for row, other in zip(rows[::2], rows[1::2], strict=True)):
        raise ConfigError("compare takes two rows that differ")
    compared, finished, apart = False, set(), []
    for name in folders.choose(results, settings.study):
        runs, problems = folders.read(results, [name])
        finished |= {run.row for run in runs if run.status == State.FINISHED}
        runsets, refused = runset.split(name, runs, paper(), settings.report)
        together = contrasts.joined(runsets, rows)
        if together is None:
            apart += [one.message for one in refused if one.row in rows]
            continue
        compared = True
        _left_out(problem.message for problem in problems)
        for table in pair.tables_of(together, settings.report) if len(rows) == 2 else []:
            terminal.print_table(screen, table)
        contrast = contrasts.of_rows(together, rows, settings.report)
        terminal.print_table(screen, contrasts.table("contrast", "On all test images", [contrast], settings.report))
        if settings.report.draw and len(rows) == 2:
            try:
                drawn = pair.picture(together, pair.dataset(together, settings.data))
            except DataError as error:
                print(f"no picture: {error}; data=PATH names its images", file=sys.stderr)
                continue
            path = Path("figures", name, "compare", f"{'-'.join(rows)}.png")
            output.write_files(results, {path.as_posix(): drawn})
            screen.print(f"Written: {results / path}", soft_wrap=True)
    if not compared and finished.issuperset(rows) and apart:
        raise ConfigError(f"{' and '.join(rows)} cannot be compared: {'; '.join(apart)}")
    if not compared:
        there = f"; there are {', '.join(sorted(finished))}" if finished else ""
        where = "no study has" if settings.study in (None, "all") else f"study={settings.study} has no"
        raise ConfigError(f"{where} finished trials of {' and '.join(rows)}{there}")
    return 0


def _forget(arguments: ReportArguments) -> int:
    print(forgetting.forget(arguments.settings, arguments.rows[0]))
    return 0


def _null(arguments: ReportArguments) -> int:
    settings, results, screen, printed = arguments.settings, Path(arguments.settings.results), terminal.console(), 0
    for name in folders.choose(results, settings.study):
        runs, _ = folders.read(results, [name])
        for one in runset.split(name, runs, paper(), settings.report)[0]:
            if found := null.measure(one, paper()):
                terminal.print_table(screen, null.table(one, found))
                printed += 1
    if not printed:
        why = "in a table of the paper that calls rows the same, on images that are not drawn by code"
        _left_out([f"no baseline with two trials {why}"])
    return 0 if printed else 1


def _check(arguments: ReportArguments) -> int:
    results = Path(arguments.settings.results)
    names = check.reported(results, arguments.settings.study)
    differences = [text for name in names for text in check.differences(results, name)]
    for text in differences:
        print(text)
    if not differences:
        print(f"{len(names)} {'report' if len(names) == 1 else 'reports'} rebuilt, nothing differs: {', '.join(names)}")
    return 1 if differences else 0
