"""No two columns of a committed table have one heading: a reader could not tell them apart."""

import re
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "results"


def test_headings_of_a_table_differ():
    tables = 0
    for path in (*RESULTS.glob("tables/*/report.md"), *RESULTS.glob("bench/*.md")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for heading, rule in zip(lines, lines[1:], strict=False):
            if re.fullmatch(r"\|[ :|-]+\|", rule):
                names = [name.strip() for name in re.split(r"(?<!\\)\|", heading)[1:-1]]
                assert len(set(names)) == len(names), f"{path}: {heading}"
                tables += 1
    assert tables > 50
