"""Everything that a report writes, as `{path under results: bytes}`; writing it is the last and smallest step."""

import json
from dataclasses import asdict
from pathlib import Path

from hybridsep.report import figure_data, heading, table
from hybridsep.report.assemble import Report
from hybridsep.report.settings import Choices, Paper

MADE_WITH = "made-with.json"
_OURS = (".md", ".csv", ".tex", ".svg", ".png", ".html", ".json")


def table_files(report: Report, choices: Choices) -> dict[str, bytes]:
    """Return the tables of the report in their three formats, and the choices they were made with."""
    files = {f"tables/{report.study}/{MADE_WITH}": f"{json.dumps(asdict(choices), indent=2)}\n".encode()}
    for part in report.parts:
        for one in part.tables:
            for name, text in table.files(one).items():
                files[f"tables/{report.study}/{name}"] = text.encode()
    return files


def figure_files(report: Report, choices: Choices, paper: Paper) -> tuple[dict[str, bytes], list[figure_data.Problem]]:
    """Return the figures of the report (SVG, PNG) with their data (CSV), and the histories that could not be read."""
    from hybridsep.report import figures

    files: dict[str, bytes] = {}
    problems = []
    for part in report.parts:
        found, unread = figure_data.build(part.sample, part.comparison)
        problems += unread
        lines = heading.lines(part.sample, choices)
        caption = " ".join(filter(None, [heading.warning(part.sample, paper), *lines]))
        for data in found:
            files[f"figures/{report.study}/{data.name}.csv"] = table.csv_text(data.fields, data.lines).encode()
            for name, content in figures.draw(data, caption).items():
                files[f"figures/{report.study}/{name}"] = content
    return files, problems


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
