"""The entry point: read the command line, run one bench, write its table."""

import importlib
import sys

from hybridsep import streams
from hybridsep.bench import settings
from hybridsep.config import config_dir
from hybridsep.config.command_line import Command, parse

_ALL = ("results", "label", "device", "threads", "models", "batch")
COMMANDS = (
    Command("throughput", "the usual loop against ours, one switch at a time", keys=(*_ALL, "size", "throughput")),
    Command("cores", "one trial with all cores, or a trial for each; small and large networks", keys=(*_ALL, "cores")),
)
FORMER = {
    name: f"a developers' benchmark now: make bench-{target}"
    for name, target in {
        "profile": "profile",
        "floor": "roofline",
        "numerics": "numerics",
        "scaling": "scaling",
    }.items()
}
EPILOG = """\
Writes results/bench/NAME.json and NAME.md. Exit status: 0 done, 2 something to mend (one line says what), 130
interrupted (throughput leaves the rows that it has in NAME-unfinished.json and NAME-unfinished.md).
"""


def main(arguments: list[str]) -> int:
    """Run the command line and return its exit status."""
    return streams.run_program("hybridsep.bench", lambda: _main(arguments))


def _main(arguments: list[str]) -> int:
    typed = parse(
        "hybridsep.bench",
        COMMANDS,
        arguments,
        load=settings.load,
        path=config_dir() / "bench.yaml",
        epilog=EPILOG,
        former=FORMER,
    )
    if typed is None:
        return 0
    if typed.command == "throughput":
        settings.check_throughput(typed.settings)
    # Imported after the checks: torch takes seconds, and a mistyped value should be answered at once.
    from hybridsep.bench.output import Session

    chosen = typed.settings
    session = Session(
        command=" ".join(["python -m hybridsep.bench", *arguments]),
        results=chosen.results,
        label=chosen.label,
        device=chosen.device,
        threads=chosen.threads,
    )
    importlib.import_module(f"hybridsep.bench.{typed.command}").run(chosen, session)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
