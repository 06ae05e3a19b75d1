"""`trial=`: which trials a value names, and what names none."""

import pytest
from refusals import refused

from hybridsep import config


@pytest.mark.parametrize(
    ("text", "trials"),
    [
        (3, [3]),
        ("3", [3]),
        ("0..9", list(range(10))),
        ("4..4", [4]),
        ([0, 2, "5..7"], [0, 2, 5, 6, 7]),
        ("0,2,5..7", [0, 2, 5, 6, 7]),
        ("range(0,10)", list(range(10))),
        ("4, range(0, 3)", [4, 0, 1, 2]),
        (["range(3)", "range(4,9,2)"], [0, 1, 2, 4, 6, 8]),
    ],
)
def test_trials(text, trials):
    assert config.parse_trials(text) == trials


@pytest.mark.parametrize(
    "text",
    [
        "9..0",
        "",
        "a",
        "-1",
        "1.5",
        1.5,
        True,
        None,
        [],
        [1, "0..3"],
        "1,0..3",
        "0,",
        "range(3,0)",
        "range(0,)",
        "range(0,9,0)",
        "0...3",
        "0..",
        "0..99999",
        "٣",
        {"a": 1},
    ],
)
def test_what_is_not_a_trial(text):
    with refused("0..9", key="trial="):
        config.parse_trials(text)
