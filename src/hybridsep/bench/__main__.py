"""The entry point: read the command line, run one bench, write its table."""

import importlib
import os
import sys

from hybridsep.bench import settings
from hybridsep.errors import ConfigError, UserError

COMMANDS = ("throughput", "cores")
HELP = """\
hybridsep.bench: what training costs, measured. Writes results/bench/NAME.json and NAME.md.

  python -m hybridsep.bench                     throughput: the usual loop against ours, one switch at a time
  python -m hybridsep.bench cores               one trial with all cores, or a trial for each; small and large networks
  python -m hybridsep.bench throughput size=tiny models=[separable,hybrid] throughput.rounds=3

Every key with its value (set with key=value; what each means stands in conf/bench.yaml):
"""
FOOT = """
Exit status: 0 done, 2 something to mend (one line says what), 130 interrupted (throughput leaves the rows that it has
in NAME-unfinished.json and NAME-unfinished.md).
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its status: 0 done, 2 something to mend, 130 interrupted."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if {"--help", "-h"} & set(words):
            print(HELP + settings.describe() + FOOT, end="")
            return 0
        commands = [word for word in words if word in COMMANDS]
        if len(commands) > 1:
            raise ConfigError(f"{' and '.join(commands)} are two commands; give one of them")
        given = settings.load([word for word in words if word not in COMMANDS], commands=", ".join(COMMANDS))
        command = commands[0] if commands else "throughput"
        # Imported after the checks: torch takes seconds, and a mistyped value should be answered at once.
        from hybridsep.bench.session import Session

        bench = importlib.import_module(f"hybridsep.bench.{command}")
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
