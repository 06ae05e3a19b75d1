"""What was declared before its data: trials that were begun before an analysis was chosen do not confirm it."""

from collections.abc import Iterable

from hybridsep.config.trials import ranges
from hybridsep.report.runset import RunSet


def begun_before(runset: RunSet, rows: Iterable[str], declared: str | None) -> list[str]:
    """Return which trials of the rows were begun before `declared`, a row each: "Hybrid: trials 0..9".

    Nothing where nothing was `declared`, a time as records have it.
    """
    if declared is None:
        return []
    early = {
        row: [trial for trial, run in runset.runs.get(row, {}).items() if run.record.started < declared] for row in rows
    }
    return [f"{runset.label(row)}: trials {ranges(trials)}" for row, trials in early.items() if trials]
