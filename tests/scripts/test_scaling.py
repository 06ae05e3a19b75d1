"""Whole commands, and their start."""

from refusals import refused
from scripts.benchmarks import scaling, startup


def test_commands_are_measured_from_outside():
    found = scaling.measure(["-S", "-c", "block = bytearray(300_000_000); print('done')"])
    assert 300e6 < found.peak_bytes < 400e6 and found.seconds > 0
    with refused("status 3", "sorry"):
        scaling.measure(["-S", "-c", "import sys; print('sorry', file=sys.stderr); sys.exit(3)"])


def test_the_first_step_is_seen():
    first, whole = startup.training("cpu")
    assert 0 < first < whole
