"""The results of the identities as a table for the terminal, with what a reader needs to read it."""

from rich.table import Table

from hybridsep.equivalence.compare import CASES_PER_SEED, LARGE, REFERENCE, TOLERANCE, Result


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
