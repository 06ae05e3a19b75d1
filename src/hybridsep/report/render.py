"""A document as index.html, Markdown and LaTeX: the templates have the layout, this has the escaping.

Equal documents give equal bytes on every machine.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hybridsep.report import sketches
from hybridsep.report.document import Document
from hybridsep.report.table import Table

_TEMPLATES = Path(__file__).with_name("templates")
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    '"': r"\textquotedbl{}",
}


class Tex(str):
    """LaTeX that is escaped already."""


def escape_latex(value: object) -> str:
    """Return text with LaTeX's special characters written out; what is Tex stays."""
    return value if isinstance(value, Tex) else "".join(_LATEX.get(letter, letter) for letter in str(value))


def _environment(**options: Any) -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )


@cache
def _markdown() -> Environment:
    environment = _environment()
    environment.filters["row"] = lambda cells: f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    return environment


@cache
def _latex() -> Environment:
    # Braces and percent signs belong to LaTeX; whatever a template prints is escaped unless it says otherwise.
    marks = {"block_start_string": "<%", "block_end_string": "%>", "comment_start_string": "<#"}
    marks |= {"variable_start_string": "<<", "variable_end_string": ">>", "comment_end_string": "#>"}
    environment = _environment(finalize=escape_latex, **marks)
    environment.filters["row"] = lambda cells: Tex(" & ".join(map(escape_latex, cells)) + r" \\")
    environment.filters["kinds"] = _kinds
    return environment


def _kinds(table: Table) -> Tex:
    """Column types: sentences need a width, numbers set theirs themselves."""
    columns = table.shown("files")
    share = 0.9 / max(1, sum(column.wide for column in columns) + 0.25 * len(columns))
    return Tex("".join(rf"p{{{min(share, 0.4):.2f}\linewidth}}" if column.wide else "r" for column in columns))


def markdown(table: Table) -> str:
    """Return one table as Markdown with its heading and notes."""
    return cast(Any, _markdown().get_template("table.md.j2").module).whole(table)


def report_markdown(document: Document) -> str:
    """Return report.md. Every table stands under an anchor of its name."""
    return _markdown().get_template("report.md.j2").render(document=document)


def report_latex(document: Document) -> str:
    """Return report.tex: the tables, for \\input; needs \\usepackage{booktabs}."""
    return _latex().get_template("report.tex.j2").render(document=document)


def page(document: Document, pictures: Mapping[str, bytes], links: Callable[[str], str]) -> str:
    """Return index.html: no network, no script, no wide screen needed.

    `pictures` has the SVG of every figure by name; `links` gives the address of a row's run folder or a file.
    """
    environment = _environment(autoescape=True)
    environment.filters["typed"] = lambda value: value if isinstance(value, str) else json.dumps(value)
    drawn = dict.fromkeys(sketch for section in document.sections for sketch in section.sketches)
    return environment.get_template("index.html.j2").render(
        document=document,
        warnings=list(dict.fromkeys(section.warning for section in document.sections if section.warning)),
        style=Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8")),
        sketches={sketch.title: Markup(sketches.svg(sketch)) for sketch in drawn},
        pictures={name: Markup(inline(name, svg)) for name, svg in pictures.items()},
        link=links,
    )


def inline(name: str, svg: bytes) -> str:
    """Return an SVG as part of the page: no header, no metadata, its ids made unlike those of the other figures."""
    text = svg[svg.index(b"<svg") :].decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    # The page scales pictures to its width; the view box keeps their proportions.
    opening = re.sub(r' (width|height|version)="[^"]*"', "", text[: text.index(">")])
    return f'{opening} role="img" aria-label="{name}"{text[text.index(">") :]}'.strip()
