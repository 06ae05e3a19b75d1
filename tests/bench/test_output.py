"""Files are whole, named after the device, and say what is wrong with their numbers."""

import json
from dataclasses import dataclass

import wording
from refusals import refused

from hybridsep.bench import output
from hybridsep.bench.timing import Spread
from hybridsep.errors import RecordError
from hybridsep.report.table import Column, build


@dataclass(frozen=True)
class Measurements:
    values: list[float]


def test_files_are_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    session = output.Session(command="bench", results=str(tmp_path), device="cpu", threads=1)
    tables = [build("t", "T", [Column("A", str)], [1])]
    session.write("kept", Measurements([1.5, 2.0]), tables)
    before = {path.name: path.read_bytes() for path in (tmp_path / "bench").iterdir()}
    assert before.keys() == {"kept-cpu.json", "kept-cpu.md"}
    record = json.loads(before["kept-cpu.json"])
    assert (record["command"], record["values"], record["machine"]["threads"]) == ("bench", [1.5, 2.0], 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with refused(wording.NO_SPACE, kind=RecordError):
        session.write("kept", Measurements([]), tables)
    assert {path.name: path.read_bytes() for path in (tmp_path / "bench").iterdir()} == before


def test_labels_are_of_the_device_and_no_host():
    assert output.label(None, None) == "cpu" and output.label("mine", "NVIDIA H200") == "mine"
    assert output.label(None, "NVIDIA H200") == "h200"
    assert output.label(None, "NVIDIA GeForce RTX 4090") == "rtx-4090"


def test_numbers_of_a_busy_machine_are_marked_as_rough():
    assert output.rough(0.0, [Spread(100.0, 4.9, 9), Spread(50.0, 1.0, 9)]) == [] == output.rough(None)
    assert output.rough(0.3) == ["other programs kept 0.3 cores busy"]
    (reason,) = output.rough(0.1, [Spread(100.0, 1.0, 9), Spread(50.0, 2.6, 9)])
    assert reason == "the usual loop's rate varied by up to 5% (interquartile range by median)"
    warning = output.warning([reason], ["a", "b"])
    assert warning == f"Not finished: a, b not measured. Rough numbers, not to be quoted: {reason}."
    assert output.warning([], []) is None
