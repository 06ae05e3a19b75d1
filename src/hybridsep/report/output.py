"""Everything that a report writes, as `{path under results: bytes}`; writing it is the last and smallest step."""

import json
from dataclasses import asdict
from pathlib import Path

from hybridsep.report import figure_data, heading, ledger, table
from hybridsep.report.assemble import Report, further_tables
from hybridsep.report.figure_data import FigureData
from hybridsep.report.folders import Problem
from hybridsep.report.page import page
from hybridsep.report.sample import Sample
from hybridsep.report.settings import Choices, Paper

MADE_WITH = "made-with.json"
INDEX = "index.html"
_OURS = (".md", ".csv", ".tex", ".svg", ".png", ".html", ".json")


def files_of(report: Report, choices: Choices, paper: Paper, *, draw: bool) -> tuple[dict[str, bytes], list[Problem]]:
    """Return every file of a report that is not empty, and all its problems with those of histories.

    Tables in three formats, the choices they were made with, the figures' data, and with `draw` the figures and
    index.html.
    """
    tables, figures = f"tables/{report.study}", f"figures/{report.study}"
    files = {f"{tables}/{MADE_WITH}": f"{json.dumps(asdict(choices), indent=2)}\n".encode()}
    sections, problems = [], list(report.problems)
    every_table = [report.ledger, *report.speed] if report.parts else list(report.speed)
    for part in report.parts:
        own = [*part.tables, *further_tables(part, paper, choices)]
        every_table += own
        found, unread = figure_data.build(part.sample, part.comparison)
        problems += unread
        pictures = {}
        for data in found:
            files[f"{figures}/{data.name}.csv"] = table.csv_text(data.fields, data.lines).encode()
            if draw:
                pictures[data.name] = (data.title, _draw(files, figures, data, part.sample, choices, paper))
        sections.append((part.sample.spec.title, own, pictures))
    for one in every_table:
        files |= {f"{tables}/{name}": text.encode() for name, text in table.files(one).items()}
    sections += [(one.title, [one], {}) for one in report.speed]
    if draw:
        first = report.parts[0].sample if report.parts else None
        text = page(
            report.study,
            warning=heading.warning(first, paper) if first else report.speed[0].warning,
            heading=heading.lines(first, choices) if first else report.speed[0].heading,
            ledger=ledger.brief(report.ledger) if first else None,
            sections=sections,
            problems=[problem.message for problem in problems],
            choices={f"report.{key}": value for key, value in asdict(choices).items()},
        )
        files[f"{tables}/{INDEX}"] = text.encode()
    return files, problems


def _draw(
    files: dict[str, bytes], folder: str, data: FigureData, sample: Sample, choices: Choices, paper: Paper
) -> bytes:
    """Add the pictures of one figure to `files` and return its SVG."""
    from hybridsep.report import figures

    caption = " ".join(filter(None, [heading.warning(sample, paper), *heading.lines(sample, choices)]))
    drawn = figures.draw(data, caption)
    files.update({f"{folder}/{name}": content for name, content in drawn.items()})
    return drawn[f"{data.name}.svg"]


def write(results: Path, study: str, files: dict[str, bytes]) -> None:
    """Write the files of one study, and remove those of an earlier report that are no longer made."""
    for folder in (results / "tables" / study, results / "figures" / study):
        for path in folder.glob("*"):
            if path.suffix in _OURS and path.relative_to(results).as_posix() not in files:
                path.unlink()
    for name, content in files.items():
        path = results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
