"""One trial with all cores, or a trial for each core."""

import json

import pytest

from hybridsep.bench.__main__ import main
from hybridsep.bench.cores import Row, table


def test_both_ways_are_timed_in_every_size(tmp_path, capsys):
    words = "cores models=separable batch=16 cores.sizes=[tiny,small] cores.rounds=2 cores.seconds=0.001".split()
    assert main([*words, "cores.at_once=2", "threads=2", f"results={tmp_path}"]) == 0, capsys.readouterr().err
    record = json.loads((tmp_path / "bench/cores-cpu.json").read_text())
    assert [(row["row"], row["size"]) for row in record["rows"]] == [("separable", "tiny"), ("separable", "small")]
    for row in record["rows"]:
        assert len(row["one"]) == len(row["several"]) == 2 and min(row["one"] + row["several"]) > 0
    assert record["rows"][0]["macs"] < record["rows"][1]["macs"]
    assert "One trial has 2 threads, each of 2 at once 1." in (tmp_path / "bench/cores-cpu.md").read_text()


@pytest.mark.parametrize(
    ("several", "faster"),
    [
        ([300.0, 310.0, 290.0], "4 at once"),
        ([30.0, 31.0, 29.0], "one trial"),
        ([50.0, 104.0, 180.0], "the same"),
    ],
)
def test_the_faster_way_is_named_where_the_rounds_agree(several, faster):
    made = table([Row("r", "tiny", 1, 1000, [100.0, 100.0, 100.0], several)], at_once=4, threads=4)
    assert made.cells("files")[0][-1] == faster
