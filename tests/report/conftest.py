"""What several tests of the report read: the committed study."""

from pathlib import Path

import pytest

from hybridsep.report import folders, runset, settings

COMMITTED = "cifar10-jpeg-small-30ep"
RESULTS = Path(__file__).resolve().parents[2] / "results"


@pytest.fixture(scope="session")
def committed() -> list[runset.RunSet]:
    """The tables of the committed study; no test changes them."""
    runs, _ = folders.read(RESULTS, [COMMITTED])
    return runset.split(COMMITTED, runs, settings.paper(), settings.load([]).report)[0]
