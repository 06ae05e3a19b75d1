"""What every developers' benchmark takes on its command line, and how it ends."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence

from hybridsep.bench.output import Session
from hybridsep.errors import UserError

ROWS = ("separable", "inception", "resnext", "reformulated_inception", "separable_equivalent", "hybrid")


def parser(description: str, *, models: bool = True) -> argparse.ArgumentParser:
    """Return a parser with the keys that all have; `models` of those that measure networks."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--results", default="results", help="folder; bench/ is written in it")
    made.add_argument("--label", help="last part of file names, in place of cpu or the GPU's model")
    made.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    made.add_argument("--threads", type=positive, help="CPU threads; all cores if not given")
    if models:
        made.add_argument("--size", default="small", help="a file of conf/size")
        made.add_argument("--models", nargs="+", default=list(ROWS), metavar="MODEL", help="files of conf/model")
        made.add_argument("--batch", type=positive, default=128, help="images of a training step")
    return made


def positive(text: str) -> int:
    """Return a whole number from 1. Raises ValueError, of which argparse makes a line."""
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def session(options: argparse.Namespace, module: str, words: Sequence[str] | None) -> Session:
    """Return the session of a benchmark whose command line, in the record, was `words`; None: that of the process."""
    command = shlex.join(["python", "-m", module, *(sys.argv[1:] if words is None else words)])
    return Session(
        command=command, results=options.results, label=options.label, device=options.device, threads=options.threads
    )


def finish(main: Callable[[], None]) -> None:
    """Call `main` and exit: 0 done, 2 something to mend, in one line, 130 interrupted."""
    try:
        main()
    except UserError as error:
        sys.exit(_said(str(error), 2))
    except KeyboardInterrupt:
        sys.exit(_said("interrupted", 130))


def _said(line: str, status: int) -> int:
    print(f"benchmark: {line}", file=sys.stderr)
    return status
