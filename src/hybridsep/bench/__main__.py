"""The entry point: read the command line, run one bench, write its table."""

import importlib
import os
import sys

from hybridsep.bench import settings
from hybridsep.config import config_dir
from hybridsep.config.command_line import Command, parse
from hybridsep.errors import UserError

_ALL = ("results", "label", "device", "threads", "models", "size", "batch")
COMMANDS = (
    Command("throughput", "the usual loop against ours, one switch at a time", keys=(*_ALL, "throughput")),
    Command("cores", "one trial with all cores, or a trial for each; small and large networks", keys=(*_ALL, "cores")),
)
EPILOG = """\
Writes results/bench/NAME.json and NAME.md. Exit status: 0 done, 2 something to mend (one line says what), 130
interrupted (throughput leaves the rows that it has in NAME-unfinished.json and NAME-unfinished.md).
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its status: 0 done, 2 something to mend, 130 interrupted."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        typed = parse(
            "hybridsep.bench",
            COMMANDS,
            words,
            load=settings.load,
            path=config_dir() / "bench.yaml",
            epilog=EPILOG,
        )
        if typed is None:
            return 0
        given = typed.settings
        # Imported after the checks: torch takes seconds, and a mistyped value should be answered at once.
        from hybridsep.bench.session import Session

        bench = importlib.import_module(f"hybridsep.bench.{typed.command}")
        session = Session(
            command=" ".join(["python -m hybridsep.bench", *words]),
            results=given.results,
            label=given.label,
            device=given.device,
            threads=given.threads,
        )
        bench.run(given, session)
        return 0
    except UserError as error:
        print(f"hybridsep.bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("hybridsep.bench: interrupted; no complete table was written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # `... | head` is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
