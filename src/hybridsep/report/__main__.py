"""The entry point: read run folders, print the tables, write tables, figures and index.html."""

import os
import sys

from hybridsep.config import config_dir
from hybridsep.config.command_line import Command, parse
from hybridsep.streams import run_program

_RUNS = ("results", "study")
# What decides which runs are compared, on which images.
_TABLE = (*_RUNS, *(f"report.{key}" for key in ("baseline", "subset", "images", "trials", "adjust_machines")))
_OF_TWO_ROWS = ("pairing", "margin", "alpha", "power", "resamples", "groups", "seed", "draw")
_CSV = ("csv", "baseline", "margin", "unit", "higher_is_better")
_WATCH = {"--watch": "again and again while the study runs, every watch= seconds"}
COMMANDS = (
    Command("report", "tables, figures and a page of a study, of all, or of csv=FILE", (*_RUNS, "report", *_CSV)),
    Command(
        "status",
        "done, running, missing; hours left; what one more trial buys",
        (*_TABLE, "report.alpha", "report.power", "watch"),
        flags=_WATCH,
    ),
    Command(
        "curves",
        "a curve a row for TensorBoard: mean over trials, with a band",
        (*_RUNS, "report.trials", "watch"),
        flags=_WATCH,
    ),
    Command(
        "plan",
        "trials that would settle a question, and their hours",
        (*_TABLE, "report.alpha", "report.margin", "plan"),
    ),
    Command(
        "compare",
        "two rows: difference, cost, disputed test images; or four: (first less second) less (third less fourth)",
        (*_TABLE, *(f"report.{key}" for key in _OF_TWO_ROWS), "data"),
        rows=(2, 4),
        usage="ROW ROW [ROW ROW]",
        takes="two rows, or four for a difference of differences",
    ),
    Command(
        "forget", "no longer asked for, all trials of a row or some; runs stay", _RUNS, (1,), "ROW[=5..9]", "a row"
    ),
    Command("null", "how probable the paper's numbers are by chance alone", _TABLE),
    Command("check", "rebuild what stands under results/tables; 1 if it differs", _RUNS, argument="--check"),
)
FORMER = {"calibrate": "a developers' benchmark now: make bench-calibration (docs/calibration.md)"}
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
    from hybridsep.report import settings  # only here, so that Ctrl-C is heard while it is imported

    path = config_dir() / "report/options.yaml"
    arguments = parse("hybridsep.report", COMMANDS, words, load=settings.load, path=path, epilog=EPILOG, former=FORMER)
    if arguments is None:
        return 0
    from hybridsep.report import programs

    return programs.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
