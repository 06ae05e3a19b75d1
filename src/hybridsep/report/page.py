"""index.html: the whole report of a study in one file that needs no network, no script and no wide screen."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from hybridsep.report.table import Table

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def page(
    study: str,
    *,
    warning: str | None,
    heading: Sequence[str],
    ledger: Table | None,
    sections: Sequence[tuple[str, Sequence[Table], Mapping[str, tuple[str, bytes]]]],
    problems: Sequence[str],
    choices: Mapping[str, object],
) -> str:
    """Return the HTML text. A section is a title, its tables in order, and its figures: `{name: (title, SVG)}`.

    Long tables are folded away; the figures follow the first table.
    """
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>hybridsep: {escape(study)}</title>",
        f"<style>{STYLE}</style></head><body>",
        f"<h1>What the runs of study {escape(study)} prove</h1>",
    ]
    if warning:
        parts.append(f'<p class="warning">{escape(warning)}</p>')
    parts += [f'<p class="heading">{escape(line)}</p>' for line in heading]
    links = [("verdicts", "Verdicts")] if ledger else []
    links += [*((f"part-{index}", title) for index, (title, _, _) in enumerate(sections))]
    links += [("left-out", "What was left out")]
    parts.append("<nav>" + "".join(f'<a href="#{anchor}">{escape(text)}</a>' for anchor, text in links) + "</nav>")
    if ledger:
        parts += ['<h2 id="verdicts">Verdicts</h2>', table_html(ledger, titled=False)]
    for index, (title, tables, figures) in enumerate(sections):
        parts.append(f'<h2 id="part-{index}">{escape(title)}</h2>')
        for place, table in enumerate(tables):
            parts.append(
                _folded(table) if len(table.lines) > 40 or table.name.endswith("-trials") else table_html(table)
            )
            if place == 0:
                parts += [inline_figure(name, text, svg) for name, (text, svg) in figures.items()]
    parts.append('<h2 id="left-out">What was left out</h2>')
    parts += [f"<p>{escape(problem)}</p>" for problem in problems] or [
        "<p>Nothing: every run folder could be used.</p>"
    ]
    made = ", ".join(f"{key}={'null' if value is None else value}" for key, value in choices.items())
    parts.append(f'<p class="note">Made by python -m hybridsep.report with {escape(made)}.</p></body></html>')
    return "\n".join(parts) + "\n"


def table_html(table: Table, *, titled: bool = True) -> str:
    """Return one table with its notes; wide tables scroll by themselves, so the page never does.

    A table of many sentences becomes a list of cards on a narrow screen.
    """
    columns = table.shown("files")
    kinds = [' class="wide"' if column.wide else "" for column in columns]
    names = [escape(column.heading) for column in columns]
    head = "".join(f"<th{kind}>{name}</th>" for kind, name in zip(kinds, names, strict=True))
    lines = (
        "".join(
            f'<td{kind} data-label="{name}">{escape(cell)}</td>'
            for kind, name, cell in zip(kinds, names, cells, strict=True)
        )
        for cells in table.cells("files")
    )
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    cards = ' class="cards"' if sum(column.wide for column in columns) > 2 else ""
    title = f"<h3>{escape(table.title)}</h3>\n" if titled else ""
    notes = "".join(f'\n<p class="note">{escape(note)}</p>' for note in table.notes)
    shown = f"<table{cards}><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
    return f'{title}<div class="scroll">{shown}</div>{notes}'


def _folded(table: Table) -> str:
    return f"<details><summary>{escape(table.title)}</summary>{table_html(table, titled=False)}</details>"


def inline_figure(name: str, title: str, svg: bytes) -> str:
    """Return an SVG as part of the page: no header, no metadata, its ids made unlike those of the other figures."""
    text = svg[svg.index(b"<svg") :].decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    # The page scales pictures to its width; the view box keeps their proportions.
    opening = re.sub(r' (width|height|version)="[^"]*"', "", text[: text.index(">")])
    text = f'{opening} role="img" aria-label="{escape(title)}"{text[text.index(">") :]}'
    return f"<figure>{text.strip()}</figure>"
