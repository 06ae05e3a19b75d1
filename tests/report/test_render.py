"""A name is text in every format."""

import made_runs as fabricate

from hybridsep.report import __main__ as command
from hybridsep.report import render
from hybridsep.report.table import Column, build


def test_a_row_s_name_is_escaped_in_every_format(tmp_path):
    name = "a&b_{x}<i>"
    fabricate.study(tmp_path, "s", {"separable": 8.0, name: 9.0}, trials=2, images=200)
    assert command.main([f"results={tmp_path}", "study=s", "report.redraws=1"]) == 0
    place = tmp_path / "tables" / "s"
    page = (place / "index.html").read_text()
    assert "a&amp;b_{x}&lt;i&gt;" in page and name not in page
    assert r"a\&b\_\{x\}\textless{}i\textgreater{}" in (place / "report.tex").read_text()
    columns: list[Column[str]] = [Column("Row", lambda line: line, wide=True), Column("N", len)]
    assert r"| a\|b | 3 |" in render.markdown(build("t", "T", columns, ["a|b"]))
