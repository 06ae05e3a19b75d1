"""`python -m hybridsep.equivalence [seeds=5] [--json]`: check the identities of section 3 and print them as a table.

Exit status 0: every identity holds and the two that must not hold do not; 1: one failed; 2: an argument is wrong.
"""

import dataclasses
import json
import sys
from typing import Annotated

from annotated_types import Interval

from hybridsep import streams
from hybridsep.config import config_dir, overrides
from hybridsep.config.command_line import Command, parse

_FLAGS = {"--json": "print everything as JSON"}
COMMANDS = (Command("check", "check the identities of section 3 and print them as a table", flags=_FLAGS),)
EPILOG = "Exit status: 0 every identity holds, 1 one failed, 2 an argument is wrong (one line says which).\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What the command line can set; see conf/equivalence.yaml."""

    seeds: Annotated[int, Interval(ge=1, le=1000)]


def main(arguments: list[str]) -> int:
    """Run the command line and return its exit status."""
    return streams.run_program("hybridsep.equivalence", lambda: _main(arguments))


def _main(arguments: list[str]) -> int:
    path = config_dir() / "equivalence.yaml"
    typed = parse(
        "hybridsep.equivalence",
        COMMANDS,
        arguments,
        load=lambda words: overrides.load(Settings, path, words),
        path=path,
        epilog=EPILOG,
    )
    if typed is None:
        return 0
    count, as_json = typed.settings.seeds, "--json" in typed.flags
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
