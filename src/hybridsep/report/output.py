"""Everything that a report writes, as `{path under results: bytes}`; writing it is the last and smallest step."""

import json
from collections.abc import Callable
from pathlib import Path

from hybridsep.report import render, table
from hybridsep.report.document import Document

MADE_WITH = "made-with.json"
INDEX = "index.html"
MARKDOWN = "report.md"
LATEX = "report.tex"
_OURS = (".md", ".csv", ".tex", ".svg", ".png", ".html", ".json")


def files_of(document: Document, *, draw: bool) -> dict[str, bytes]:
    """Return every file of a report: Markdown, LaTeX, a CSV a table and a figure, the choices they were made with.

    With `draw` also the figures and index.html.
    """
    tables, figures = f"tables/{document.study}", f"figures/{document.study}"
    files = {
        f"{tables}/{MADE_WITH}": f"{json.dumps(document.choices, indent=2)}\n".encode(),
        f"{tables}/{MARKDOWN}": render.report_markdown(document).encode(),
        f"{tables}/{LATEX}": render.report_latex(document).encode(),
    }
    files |= {f"{tables}/{one.name}.csv": one.csv() for one in document.tables()}
    for section in document.sections:
        for data in section.figures:
            files[f"{figures}/{data.name}.csv"] = table.csv_text(data.fields, data.lines).encode()
    if draw:
        drawn = _drawn(document)
        files |= {f"{figures}/{name}": content for name, content in drawn.items()}
        pictures = {Path(name).stem: content for name, content in drawn.items() if name.endswith(".svg")}
        files[f"{tables}/{INDEX}"] = render.page(document, pictures, _links(document.study)).encode()
    return files


def _drawn(document: Document) -> dict[str, bytes]:
    """Return the SVG and PNG of every figure by file name."""
    from hybridsep.report import figures

    drawn = {}
    for section in document.sections:
        for data in section.figures:
            drawn |= figures.draw(data, section.caption)
    return drawn


def _links(study: str) -> Callable[[str], str]:
    """Return the function from what index.html links to, to its address: a row's folder, a picture, a table."""

    def link(name: str) -> str:
        if name.endswith("/"):
            return f"../../runs/{study}/{name}"
        return f"../../figures/{study}/{name}" if name.endswith((".png", ".svg")) else name

    return link


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
