"""docs/statistics.md names functions that are there."""

import importlib
import re
from pathlib import Path

TEXT = (Path(__file__).resolve().parents[2] / "docs/statistics.md").read_text()
MODULES = Path(__file__).resolve().parents[2] / "src/hybridsep/statistics"


def test_every_function_of_the_table_of_formulas_is_there():
    cells = [line.split("|")[3] for line in TEXT.splitlines() if line.count("|") == 4]
    names = [name for cell in cells for name in re.findall(r"`(\w+)\.(\w+)`", cell)]
    assert len(names) > 20
    for module, function in names:
        assert callable(getattr(importlib.import_module(f"hybridsep.statistics.{module}"), function)), function
    unnamed = {path.stem for path in MODULES.glob("[a-z]*.py")} - {module for module, _ in names}
    assert not unnamed, unnamed
