"""`python -m hybridsep.equivalence [seeds=5] [--json]`: check the identities of section 3 and print them as a table.

Exit status 0: every identity holds and the two that must not hold do not; 1: one failed; 2: an argument is wrong.
"""

import dataclasses
import json
import re
import sys

from hybridsep import streams
from hybridsep.errors import ConfigError

USAGE = "python -m hybridsep.equivalence [seeds=1..1000] [--json] [--help]"


def parse(arguments: list[str]) -> tuple[int, bool]:
    """Return the number of seeds (5 by default) and whether JSON is asked for. Raises ConfigError."""
    count, as_json = 5, False
    for argument in arguments:
        if argument == "--json":
            as_json = True
        elif re.fullmatch(r"seeds=[1-9][0-9]{0,3}", argument, re.ASCII) and int(argument[6:]) <= 1000:
            count = int(argument[6:])
        else:
            raise ConfigError(f"{argument!r} is not an argument; allowed: seeds=1 to seeds=1000, --json, --help")
    return count, as_json


def main(arguments: list[str]) -> int:
    """Run the command line and return its exit status."""
    return streams.run_program("hybridsep.equivalence", lambda: _main(arguments))


def _main(arguments: list[str]) -> int:
    if "--help" in arguments or "-h" in arguments:
        print(USAGE)
        return 0
    count, as_json = parse(arguments)
    # Imported after the checks: torch takes seconds, and a mistyped value should be answered at once.
    from rich.console import Console

    from hybridsep.equivalence import compare, output
    from hybridsep.equivalence.identities import IDENTITIES

    results = [compare.check(identity, count) for identity in IDENTITIES]
    passed = all(result.passed for result in results)
    if as_json:
        lines = [{**dataclasses.asdict(result), "verdict": output.verdict(result)} for result in results]
        limits = {"seeds": count, "tolerance": compare.TOLERANCE, "large": compare.LARGE}
        print(json.dumps({**limits, "passed": passed, "identities": lines}, indent=2))
    else:
        console = Console(width=streams.width_of_stdout(190))
        console.print(output.table(results))
        for note in output.notes(results, count):
            console.print(note, highlight=False)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
