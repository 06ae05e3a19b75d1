"""`python -m hybridsep.equivalence [seeds=5] [--json]`: check the identities of section 3 and print them as a table.

Exit status 0: every identity holds and the two that must not hold do not; 1: one failed; 2: an argument is wrong.
"""

import dataclasses
import json
import re
import sys

from rich.console import Console
from rich.table import Table

from hybridsep.equivalence.compare import CASES_PER_SEED, LARGE, REFERENCE, TOLERANCE, Result, check
from hybridsep.equivalence.identities import IDENTITIES
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


def verdict(result: Result) -> str:
    """Return the last column's text."""
    if result.holds:
        return "holds" if result.passed else "FAILED: differs"
    return "does not hold, rightly" if result.passed else "FAILED: not shown to differ"


def table(results: list[Result]) -> Table:
    """Return the table for the terminal."""
    grid = Table(title="Equivalences (float64)", title_justify="left")
    for heading in ("identity", "where"):
        grid.add_column(heading)
    for heading in ("cases", "outputs differ", "gradients differ", "parameters"):
        grid.add_column(heading, justify="right")
    grid.add_column("verdict")
    for number, result in enumerate(results):
        left, right = (f"{count:,}" for count in result.parameters)
        grid.add_row(
            result.identity if result.holds else result.identity.replace(" = ", " ≠ "),
            result.source,
            str(result.cases),
            f"{result.forward:.1e}",
            f"{result.gradient:.1e}",
            left if left == right else f"{left} | {right}",
            f"[{'green' if result.passed else 'red'}]{verdict(result)}[/]",
            end_section=number + 1 < len(results) and result.holds != results[number + 1].holds,
        )
    return grid


def notes(results: list[Result], count: int) -> list[str]:
    """Return what a reader needs to read the table."""
    lines = [
        f"Cases: {count} seeds x {CASES_PER_SEED} random shapes. Differences are shares of the largest value: the "
        f"largest over the cases (allowed: {TOLERANCE:.0e}), or for ≠ the smallest (asked for: {LARGE:.0e}).",
        "Gradients: by the input and by the left side's weights, to which those of the right side are pulled back.",
        f"Parameters: left | right side of one layer, {REFERENCE.in_chs} to {REFERENCE.out_chs} channels, "
        f"{REFERENCE.groups} groups where there are any.",
    ]
    for result in results:
        if result.bound is not None:
            name = result.identity.replace(" = ", " ≠ ")
            lines.append(f"{name}: no weights of the right side at all come nearer than {result.bound:.1e}.")
    return lines


def main(arguments: list[str]) -> int:
    """Run the command line and return its exit status."""
    if "--help" in arguments or "-h" in arguments:
        print(USAGE)
        return 0
    try:
        count, as_json = parse(arguments)
    except ConfigError as error:
        print(f"hybridsep.equivalence: {error}", file=sys.stderr)
        return 2
    results = [check(identity, count) for identity in IDENTITIES]
    passed = all(result.passed for result in results)
    if as_json:
        lines = [{**dataclasses.asdict(result), "verdict": verdict(result)} for result in results]
        limits = {"seeds": count, "tolerance": TOLERANCE, "large": LARGE}
        print(json.dumps({**limits, "passed": passed, "identities": lines}, indent=2))
    else:
        console = Console(width=None if sys.stdout.isatty() else 190)
        console.print(table(results))
        for note in notes(results, count):
            console.print(note, highlight=False)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
