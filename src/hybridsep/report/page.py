"""index.html: the whole report of a study in one file that needs no network, no script and no wide screen."""

import re
from collections.abc import Mapping, Sequence
from html import escape

from hybridsep.report.table import Table

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; border-top: 2px solid #1a1a1a; padding-top: .5rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { margin: .4rem 0; }
nav a { display: inline-block; margin: 0 .8rem .3rem 0; padding: .2rem 0; }
.warning { border: 2px solid #1a1a1a; border-left-width: .8rem; background: #fff3d6; padding: .6rem .8rem; font-weight: 600; }
.heading, .note { color: #444; font-size: .85rem; }
.scroll { overflow-x: auto; margin: .5rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; vertical-align: top; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #1a1a1a; vertical-align: bottom; }
th.wide, td.wide { text-align: left; white-space: normal; min-width: 8rem; max-width: 22rem; }
td:first-child, th:first-child { position: sticky; left: 0; background: #fff; }
figure { margin: 1rem 0; }
figure svg { display: block; width: 100%; height: auto; max-width: 56rem; }
details { margin: .8rem 0; }
summary { cursor: pointer; font-weight: 600; padding: .3rem 0; }
@media (max-width: 40rem) {
  body { padding: .7rem; }
  td:first-child.wide, th:first-child.wide { min-width: 7rem; max-width: 9rem; }
  figure { overflow-x: auto; }
  figure svg { min-width: 34rem; }
}
@media print { details > * { display: block; } }
"""


def page(
    study: str,
    *,
    warning: str | None,
    heading: Sequence[str],
    ledger: Table,
    sections: Sequence[tuple[str, Sequence[Table], Mapping[str, tuple[str, bytes]]]],
    problems: Sequence[str],
    choices: Mapping[str, object],
) -> str:
    """Return the HTML text. A section is a title, its tables in order, and its figures: `{name: (title, SVG)}`.

    A table whose name ends in one of the long ones is folded away; figures follow the first table.
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
    links = [("verdicts", "Verdicts"), *((f"part-{index}", title) for index, (title, _, _) in enumerate(sections))]
    links += [("left-out", "What was left out")]
    parts.append("<nav>" + "".join(f'<a href="#{anchor}">{escape(text)}</a>' for anchor, text in links) + "</nav>")
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
    """Return one table with its notes; wide tables scroll by themselves, so the page never does."""

    columns = table.shown("files")

    def row(tag: str, cells: Sequence[str]) -> str:
        kinds = [' class="wide"' if column.wide else "" for column in columns]
        filled = (f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
        return f"<tr>{''.join(filled)}</tr>"

    head = row("th", [column.heading for column in columns])
    body = "\n".join(row("td", cells) for cells in table.cells("files"))
    title = f"<h3>{escape(table.title)}</h3>\n" if titled else ""
    notes = "".join(f'\n<p class="note">{escape(note)}</p>' for note in table.notes)
    return f'{title}<div class="scroll"><table><thead>{head}</thead><tbody>\n{body}\n</tbody></table></div>{notes}'


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
