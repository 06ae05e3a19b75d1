"""`--check`: rebuild every report that stands under results/tables and say what differs, byte by byte and number by
number.
"""

import csv
import io
import json
import math
from pathlib import Path

from hybridsep.errors import ConfigError
from hybridsep.report import document, folders, output, settings

# Numbers of figures are written with six digits; the last of them may round otherwise on another machine.
TOLERANCE = 2e-5


def reported(results: Path, study: str | None) -> list[str]:
    """Return the studies that have a report, or the one that `study` names. Raises ConfigError when there is none."""
    root = results / "tables"
    names = sorted(path.name for path in root.iterdir() if path.is_dir() and not _of_csv(path)) if root.is_dir() else []
    if study in (None, "all") and names:
        return names
    if study not in names:
        there = f"there are {', '.join(names)}" if names else "there is none"
        raise ConfigError(f"no report of study '{study or 'all'}' under {root}; {there}")
    return [study]


def _of_csv(folder: Path) -> bool:
    """Whether a report is of somebody's own table (csv=FILE), which is not kept with it."""
    try:
        return "csv" in json.loads((folder / output.MADE_WITH).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def differences(results: Path, study: str) -> list[str]:
    """Return one line per file of the study's report that the runs, with the choices it was made with, do not give.

    Tables must agree in every byte, figures' data in every number; pictures and index.html must be there.
    """
    place = results / "tables" / study
    try:
        made = json.loads((place / output.MADE_WITH).read_text(encoding="utf-8"))
        options = settings.load(
            [f"report.{key}={'null' if value is None else value}" for key, value in made.items()]
        ).report
    except (OSError, ValueError, AttributeError) as error:
        return [f"{place / output.MADE_WITH}: cannot be used ({error}); make the report again"]
    if study not in folders.studies(results, speed=True):
        return [f"{place}: its runs, {results / 'runs' / study}, are not there"]
    report = document.make(results, study, settings.paper(), options)
    if not report.sections:
        return [f"{place}: no table can be made now: {problem.message}" for problem in report.problems]
    files = output.files_of(report, draw=False).content
    lines = []
    for name, content in files.items():
        path = results / name
        if not path.is_file():
            lines.append(f"{path}: missing")
        elif name.startswith("figures/"):
            lines += [f"{path}: {text}" for text in _numbers_differ(path.read_bytes(), content)]
            pictures = [path.with_suffix(kind) for kind in (".svg", ".png")] if options.draw else []
            lines += [f"{picture}: missing" for picture in pictures if not picture.is_file()]
        elif path.read_bytes() != content:
            lines.append(f"{path}: {_first_difference(path.read_bytes(), content)}")
    if options.draw and not (place / output.INDEX).is_file():
        lines.append(f"{place / output.INDEX}: missing")
    return lines + _unexpected(results, study, files)


def _unexpected(results: Path, study: str, files: dict[str, bytes]) -> list[str]:
    """Tables and figures' data that the runs do not give at all."""
    expected = {results / name for name in files}
    return [
        f"{path}: not made from these runs"
        for folder in ("tables", "figures")
        for path in sorted((results / folder / study).glob("*"))
        if path.suffix in (".md", ".csv", ".tex") and path not in expected
    ]


def _first_difference(stands: bytes, rebuilt: bytes) -> str:
    pairs = zip(stands.splitlines() + [b"(end)"], rebuilt.splitlines() + [b"(end)"], strict=False)
    for line, (old, new) in enumerate(pairs, 1):
        if old != new:
            shown = (text.decode(errors="replace")[:60] for text in (old, new))
            return "line {} stands as '{}', is rebuilt as '{}'".format(line, *shown)
    return "differs in its line ends"


def _numbers_differ(stands: bytes, rebuilt: bytes) -> list[str]:
    """Compare two CSV files cell by cell, numbers within TOLERANCE; return the first difference, if any."""
    old, new = (list(csv.reader(io.StringIO(text.decode(errors="replace")))) for text in (stands, rebuilt))
    if len(old) != len(new):
        return [f"{len(old)} lines stand, {len(new)} are rebuilt"]
    for line, (before, after) in enumerate(zip(old, new, strict=True), 1):
        if len(before) != len(after) or not all(map(_same, before, after)):
            return [f"line {line} stands as '{','.join(before)[:60]}', is rebuilt as '{','.join(after)[:60]}'"]
    return []


def _same(old: str, new: str) -> bool:
    if old == new:
        return True
    if old.isdecimal() and new.isdecimal():
        return False
    try:
        return math.isclose(float(old), float(new), rel_tol=TOLERANCE, abs_tol=1e-12)
    except ValueError:
        return False
