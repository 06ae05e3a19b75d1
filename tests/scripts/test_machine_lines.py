"""`scripts/test_machines.py` names tests by their files: a line must not name one that was moved."""

import pytest
from scripts import test_machines


@pytest.mark.parametrize("name", sorted({name for line in test_machines.LINES for name in line.tests}))
def test_every_test_that_a_line_names_is_there(name):
    path, _, function = name.partition("::")
    assert f"def {function}" in (test_machines.ROOT / path).read_text()
