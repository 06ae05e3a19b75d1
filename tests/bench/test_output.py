"""Files are whole, named after the device, and say what is wrong with their numbers."""

import json

import pytest

from hybridsep.bench import output
from hybridsep.bench.timing import Spread
from hybridsep.errors import RecordError
from hybridsep.report.table import Column, build


def test_files_are_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    machine = {"threads": 1, "cores": 2, "processor": "made up"}
    record = {"command": "bench", "machine": machine, "versions": {}, "measured": "2026-01-01", "values": [1.5, 2.0]}
    tables = [build("t", "T", [Column("A", str)], ["1"])]
    output.write(str(tmp_path), "kept", record, tables)
    before = {path.name: path.read_bytes() for path in (tmp_path / "bench").iterdir()}
    assert before.keys() == {"kept.json", "kept.md"} and json.loads(before["kept.json"]) == record

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(RecordError, match="cannot be written.*No space left"):
        output.write(str(tmp_path), "kept", {**record, "values": []}, tables)
    assert {path.name: path.read_bytes() for path in (tmp_path / "bench").iterdir()} == before


def test_labels_are_of_the_device_and_no_host():
    assert output.label(None, {"device": "cpu"}) == "cpu" and output.label("mine", {}) == "mine"
    assert output.label(None, {"gpu": "NVIDIA H200"}) == "h200"
    assert output.label(None, {"gpu": "NVIDIA GeForce RTX 4090"}) == "rtx-4090"


def test_numbers_of_a_busy_machine_are_marked_as_rough():
    assert output.rough(0.0, [Spread(100.0, 4.9, 9), Spread(50.0, 1.0, 9)]) == [] == output.rough(None)
    assert output.rough(0.3) == ["other programs kept 0.3 cores busy"]
    (reason,) = output.rough(0.1, [Spread(100.0, 1.0, 9), Spread(50.0, 2.6, 9)])
    assert reason == "the usual loop's rate varied by up to 5% (interquartile range by median)"
    said = output.warning({"rough": [reason], "missing": ["a", "b"]})
    assert said == f"Not finished: a, b not measured. Rough numbers, not to be quoted: {reason}."
    assert output.warning({"rough": []}) is None
