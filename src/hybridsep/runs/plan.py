"""The plan of a study, `results/runs/STUDY/plan.json`: the rows and trials that all commands so far have asked for.

A row that a sweep has not reached, or that failed before its first folder, is in no other file.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from hybridsep.errors import RecordError
from hybridsep.runs import records

NAME = "plan.json"


def read(study: Path) -> dict[str, list[int]]:
    """Return `{row: trials}` of a study's folder, empty when nothing was written down. Raises RecordError."""
    path = study / NAME
    try:
        rows = json.loads(path.read_bytes())["rows"]
        return {str(row): sorted({int(trial) for trial in trials}) for row, trials in rows.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecordError(f"{path} cannot be read ({type(error).__name__}): remove it, or copy it again") from None


def extend(study: Path, asked: Mapping[str, Iterable[int]]) -> None:
    """Add rows and trials to the plan of a study's folder. Raises RecordError, and OSError when it is not writable."""
    with records.lock(study / Path(NAME).stem):
        records.remove_leftovers(study)
        before = read(study)
        rows = {**before}
        for row, trials in asked.items():
            rows[row] = sorted({*rows.get(row, []), *trials})
        if rows != before:
            records.write_atomically(study / NAME, f"{json.dumps({'rows': rows})}\n".encode())
