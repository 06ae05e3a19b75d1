"""Where a bench's numbers go: a JSON file with everything, a Markdown file with the tables, and the terminal."""

import datetime
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hybridsep.bench.timing import Spread
from hybridsep.errors import RecordError
from hybridsep.report import terminal
from hybridsep.report.render import markdown
from hybridsep.report.speed import DISTURBED, FORMAT
from hybridsep.report.table import Table
from hybridsep.runs import provenance, records
from hybridsep.runs import record as record_schema

MOST_SPREAD = 0.05  # of the usual loop's rate in a table that is quoted elsewhere
UNFINISHED = "-unfinished"  # end of the name of files that do not have all rows yet
_MAKERS = re.compile(r"^(nvidia|amd|intel)[ -]+|geforce |graphics ", re.IGNORECASE)


def say(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


def label(given: str | None, machine: dict[str, Any]) -> str:
    """Return the end of a file's name: what was given, else `cpu`, else the GPU's model, such as `h200`."""
    if given:
        return given
    name = _MAKERS.sub("", machine.get("gpu") or "cpu").lower()
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:40] or "gpu"


def origin(device: str, threads: int) -> dict[str, Any]:
    """Return what a record says of where it is from: machine, versions, git state, time. Imports torch."""
    return {
        "format": FORMAT,
        "machine": record_schema.as_json(provenance.machine(device, threads)),
        "versions": provenance.versions(),
        "git": record_schema.as_json(provenance.git_state()),
        "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def head(record: dict[str, Any]) -> list[str]:
    """Return the lines that stand above every table: command, machine, versions."""
    machine, versions = record["machine"], record["versions"]
    threads = f"{machine['threads']} {'thread' if machine['threads'] == 1 else 'threads'} of {machine['cores']} cores"
    place = " with ".join(filter(None, [machine.get("gpu"), machine["processor"]]))
    software = ", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "torchvision") if name in versions)
    lines = [f"`{record['command']}`", f"{place}, {threads}; {software}; measured {record['measured'][:10]}."]
    if "size" in record:
        lines.append(f"Size {record['size']}, batch {record['batch']}, built-in 32x32 images.")
    return lines


def rough(busy: float | None, usual_loop: Sequence[Spread] = ()) -> list[str]:
    """Return why numbers are not to be quoted: `busy` cores of other programs, or a usual loop that varied too much."""
    reasons = []
    if busy is not None and busy >= DISTURBED:
        reasons.append(f"other programs kept {busy:.1f} cores busy")
    spreads = [rates.iqr / rates.median for rates in usual_loop]
    if spreads and max(spreads) >= MOST_SPREAD:
        reasons.append(f"the usual loop's rate varied by up to {max(spreads):.0%} (interquartile range by median)")
    return reasons


def warning(record: dict[str, Any]) -> str | None:
    """Return what a reader should be told of numbers that are rough or not complete, or None."""
    parts = []
    if record.get("missing"):
        parts.append(f"Not finished: {', '.join(record['missing'])} not measured.")
    if record.get("rough"):
        parts.append(f"Rough numbers, not to be quoted: {'; '.join(record['rough'])}.")
    return " ".join(parts) or None


def as_json(record: dict[str, Any]) -> str:
    """Return a record as text. Lists of numbers stand on one line: a round's value each would make thousands."""
    text = json.dumps(record, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return re.sub(r"\[[\s\d.,eE+-]+\]", lambda found: re.sub(r"\s+", " ", found[0]), text) + "\n"


def write_files(results: str, files: dict[str, str]) -> None:
    """Write each file, by its path under `results`, whole or not at all. Raises RecordError when that cannot be."""
    try:
        for name, text in files.items():
            path = Path(results, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            records.write_atomically(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise RecordError(f"results={results} cannot be written: {error}") from None


def save(results: str, name: str, record: dict[str, Any], tables: Sequence[Table]) -> list[Table]:
    """Write `<results>/bench/<name>.json` and `.md` and return the tables. Raises RecordError when that cannot be.

    The first table gets the lines of `head`, if it has none of its own, and the warning.
    """
    first = replace(tables[0], heading=tables[0].heading or head(record), warning=warning(record))
    complete = [first, *tables[1:]]
    page = "\n".join(markdown(table) for table in complete)
    write_files(results, {f"bench/{name}.json": as_json(record), f"bench/{name}.md": page})
    return complete


def write(results: str, name: str, record: dict[str, Any], tables: Sequence[Table]) -> None:
    """Write what is complete, as `save` does, remove what was unfinished of it, and print the tables."""
    complete = save(results, name, record, tables)
    for suffix in (".json", ".md"):
        Path(results, "bench", f"{name}{UNFINISHED}{suffix}").unlink(missing_ok=True)
    screen = terminal.console()
    for line in filter(None, [complete[0].warning, *complete[0].heading]):
        screen.print(line, markup=False, soft_wrap=True)
    for table in complete:
        terminal.print_table(screen, table)
    screen.print(f"Written: {Path(results) / 'bench' / name}.json and .md", soft_wrap=True)
