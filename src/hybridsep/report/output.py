"""Everything that a report writes, as `{path under results: bytes}`; writing it is the last and smallest step."""

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hybridsep.errors import RecordError
from hybridsep.report import render
from hybridsep.report.document import Document
from hybridsep.runs.records import TEMPORARY

MADE_WITH = "made-with.json"
INDEX = "index.html"
MARKDOWN = "report.md"
LATEX = "report.tex"
_OURS = (".md", ".csv", ".tex", ".svg", ".png", ".html", ".json")


@dataclass
class Files:
    """Everything that a report writes, by its path under `results`, and what was wrong with drawing."""

    content: dict[str, bytes]
    problems: list[str] = field(default_factory=list)


def files_of(document: Document, *, draw: bool) -> Files:
    """Return every file of a report: Markdown, LaTeX, a CSV a table and a figure, the choices they were made with.

    With `draw` also the figures and index.html. A figure that cannot be drawn is named, and all else is there.
    """
    tables, figures = f"tables/{document.study}", f"figures/{document.study}"
    files = {
        f"{tables}/{MADE_WITH}": f"{json.dumps(document.options, indent=2)}\n".encode(),
        f"{tables}/{MARKDOWN}": render.report_markdown(document).encode(),
        f"{tables}/{LATEX}": render.report_latex(document).encode(),
    }
    files |= {f"{tables}/{one.name}.csv": one.csv.encode() for one in document.tables()}
    for section in document.sections:
        files |= {f"{figures}/{figure.name}.csv": figure.csv().encode() for figure in section.figures}
    if not draw:
        return Files(files)
    drawn, problems = _drawn(document)
    files |= {f"{figures}/{name}": content for name, content in drawn.items()}
    pictures = {Path(name).stem: content for name, content in drawn.items() if name.endswith(".svg")}
    files[f"{tables}/{INDEX}"] = render.page(document, pictures, _links(document.study)).encode()
    return Files(files, problems)


def _drawn(document: Document) -> tuple[dict[str, bytes], list[str]]:
    """Return the SVG and PNG of every figure by file name, and one line for what could not be drawn."""
    drawn: dict[str, bytes] = {}
    lacking: set[str] = set()
    problems = []
    try:
        from hybridsep.report.figures import drawing
    except Exception as error:
        return {}, [f"{document.study}: no figures: {type(error).__name__}: {error}"]
    for section in document.sections:
        for figure in section.figures:
            try:
                with drawing.canvas(figure.name) as letters:
                    drawn |= drawing.draw(figure, section.caption)
                lacking |= letters
            except Exception as error:  # a library of a million lines; the tables do not depend on it
                problems.append(f"{document.study}: figure {figure.name} is not drawn: {type(error).__name__}: {error}")
    if lacking:
        problems.append(f"{document.study}: the figures' font has no {' '.join(sorted(lacking))}; the tables have them")
    return drawn, problems


def _links(study: str) -> Callable[[str], str]:
    """Return the function from what index.html links to, to its address: a row's folder, a picture, a table."""

    def link(name: str) -> str:
        if name.endswith("/"):
            return f"../../runs/{study}/{name}"
        return f"../../figures/{study}/{name}" if name.endswith((".png", ".svg")) else name

    return link


def write(results: Path, study: str, files: Mapping[str, bytes]) -> None:
    """Write the files of one study, and remove those of an earlier report that are no longer made.

    Raises RecordError when they cannot be written; then the earlier report is as it was.
    """
    write_files(results, files)
    for folder in (results / "tables" / study, results / "figures" / study):
        for path in folder.glob("*"):
            if path.suffix in _OURS and path.relative_to(results).as_posix() not in files:
                path.unlink()


def write_files(results: Path, files: Mapping[str, bytes]) -> None:
    """Write `{path under results: bytes}`, all or none of them. Raises RecordError naming the folder."""
    places = {results / name: (results / name).with_name(f"{TEMPORARY}{Path(name).name}") for name in files}
    try:
        for (path, temporary), content in zip(places.items(), files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
        for path, temporary in places.items():
            os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RecordError(f"results={results} cannot be written ({reason}): results=FOLDER names another") from None
    finally:
        for temporary in places.values():
            with contextlib.suppress(OSError):
                temporary.unlink()
