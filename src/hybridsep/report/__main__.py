"""`python -m hybridsep.report`: the entry point; reads run folders, prints the tables, writes tables, figures and index.html."""

import os
import sys
from pathlib import Path

from hybridsep.errors import UserError
from hybridsep.report import settings

HELP = """\
hybridsep.report: what the runs prove. Reads results/runs, prints the main table, writes results/tables and results/figures.

  python -m hybridsep.report study=quick                one study
  python -m hybridsep.report                            all of them
  python -m hybridsep.report study=quick report.subset=all report.pairing=unpaired report.margin=0.5
  python -m hybridsep.report status study=quick         done, running, failed, missing; hours left; what a trial buys
  python -m hybridsep.report --check                    rebuild what stands under results/tables; exit 1 if it differs

Every key with its value (set with key=value; what each means stands in conf/report.yaml):
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 done, 1 a difference or nothing to report, 2 something to mend."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if {"--help", "-h"} & set(words):
            print(HELP + settings.describe())
            return 0
        check = "--check" in words
        status = words[:1] == ["status"]
        given = settings.load([word for word in words[status:] if word != "--check"])
        if check and status:
            raise UserError("status and --check are two commands; give one of them")
        return _report(given)
    except UserError as error:
        print(f"hybridsep.report: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # `... | head` is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _report(given: settings.Settings) -> int:
    from hybridsep.report import assemble, folders, output, terminal

    results, paper = Path(given.results), settings.paper()
    names = folders.choose(results, given.study)
    runs, problems = folders.read(results, names)
    screen = terminal.console()
    empty = 0
    for name in names:
        report = assemble.assemble(
            name,
            [run for run in runs if run.study == name],
            [problem for problem in problems if problem.study == name],
            paper,
            given.report,
        )
        for part in report.parts:
            terminal.show(screen, part.tables)
        if not report.parts:
            empty += 1
            for problem in report.problems:
                print(f"left out: {problem.message}", file=sys.stderr)
            continue
        terminal.show(screen, [report.ledger])
        files, found = output.files_of(report, given.report, paper)
        for problem in found:
            print(f"left out: {problem.message}", file=sys.stderr)
        output.write(results, name, files)
        screen.print(
            f"Written: {results}/tables/{name}/index.html with all tables and figures, and {len(files) - 1} more files."
        )
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
