"""What was asked of a study, `results/runs/STUDY/asked.json`: the rows and trials of all commands so far.

A row that a sweep has not reached, or that failed before its first folder, is in no other file. Commands add to it,
and it shrinks when a person edits it or types `report forget`. Trials are written as on the command line:
`{"rows": {"resnext": "0..9", "hybrid": "0..2,5"}}`.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from hybridsep.config.trials import parse_trials, ranges
from hybridsep.errors import ConfigError, RecordError
from hybridsep.runs import records, waiting

NAME = "asked.json"
OLD_NAME = "plan.json"  # of earlier versions; read while there is no new one

Rows = dict[str, list[int]]


def read(study: Path) -> Rows:
    """Return `{row: trials}` of a study's folder, empty when nothing was written down. Raises RecordError."""
    for path in (study / NAME, study / OLD_NAME):
        try:
            rows = json.loads(path.read_bytes())["rows"]
            return {str(row): sorted(_trials(trials)) for row, trials in rows.items()}
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            reason = str(error) if isinstance(error, ConfigError) else type(error).__name__
            raise RecordError(f"{path} cannot be read ({reason}): mend it, or remove it") from None
    return {}


def extend(study: Path, rows: Mapping[str, Iterable[int]]) -> None:
    """Add rows and trials to what was asked of a study.

    Raises RecordError, OSError when it is not writable, and `stop.Stopped` while another process has it.
    """
    with _locked(study):
        records.remove_leftovers(study)
        before = read(study)
        after = {**before}
        for row, trials in rows.items():
            after[row] = sorted({*after.get(row, []), *trials})
        if after != before or not (study / NAME).exists():
            _write(study, after)


def forget(study: Path, row: str, trials: Iterable[int] | None = None) -> list[int]:
    """Take trials of a row, all of them by default, from what was asked; return those that were. Runs stay.

    Raises RecordError, and ConfigError when nothing of it was asked.
    """
    with _locked(study):
        before = read(study)
        if row not in before:
            others = f"; it was asked for {', '.join(before)}" if before else ""
            raise ConfigError(f"{row} was not asked of study {study.name}{others}")
        chosen = set(before[row] if trials is None else trials)
        gone, left = sorted(chosen & {*before[row]}), sorted({*before[row]} - chosen)
        if not gone:
            raise ConfigError(f"{row} was asked for trials {ranges(before[row])}, and for none of {ranges(chosen)}")
        _write(study, {name: left if name == row else asked for name, asked in before.items() if name != row or left})
    return gone


def _locked(study: Path) -> AbstractContextManager[None]:
    # The name is that of earlier versions.
    return waiting.held(records.lock(study / "plan"), f"{NAME} of study {study.name}")


def _trials(value: object) -> list[int]:
    """Read the trials of a row: `"0..2,5"`, or a list."""
    return [] if value in ("", []) else parse_trials(value)


def _write(study: Path, rows: Rows) -> None:
    content = {"rows": {row: ranges(trials) for row, trials in rows.items()}}
    records.write_atomically(study / NAME, f"{json.dumps(content, indent=1)}\n".encode())
