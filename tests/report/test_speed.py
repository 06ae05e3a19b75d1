"""A file of speed that cannot be used is named with its first wrong key, and the others are read."""

import json
from pathlib import Path

import pytest

from hybridsep.report import speed

SPEEDS = Path(__file__).resolve().parents[2] / "results/speed/speed-small"


def change(record: dict, path: str, value: object) -> None:
    *groups, last = path.split(".")
    for group in groups:
        record = record[int(group) if group.isdecimal() else group]
    record[last] = value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("format", 2, "format: Input should be 1"),
        ("row", "hybrid", "it belongs to speed-small/hybrid; was it moved or copied?"),
        ("cost.params", 0, "cost.params: Input should be greater than 0"),
        ("cost.macs", True, "cost.macs: Input should be a valid integer"),
        ("measured", None, "measured: Input should be a valid string"),
        ("measurements.0.images_per_second.median", "fast", "measurements.0.images_per_second.median: "),
        ("measurements.0.images_per_second.blocks", [1.0, 0.0], "measurements.0.images_per_second.blocks.1: "),
        ("measurements.1.peak_bytes", float("nan"), "measurements.1.peak_bytes: "),
        ("measurements", [], "it has no measurement of training"),
        ("config.speed.height", "tall", "speed.height: Input should be a valid integer"),
        ("machine.threads", "2", "machine.threads: Input should be a valid integer"),
    ],
)
def test_what_is_no_measurement(tmp_path, path, value, words):
    folder = tmp_path / "speed/speed-small"
    folder.mkdir(parents=True)
    record = json.loads((SPEEDS / "separable.json").read_bytes())
    (folder / "inception.json").write_bytes((SPEEDS / "inception.json").read_bytes())
    change(record, path, value)
    (folder / "separable.json").write_text(json.dumps(record))
    records, [problem] = speed.read(tmp_path, "speed-small")
    assert [record.row for record in records] == ["inception"]
    assert f"separable.json: not a measurement of speed ({words}" in problem.message
    assert "\n" not in problem.message


def test_a_record_without_blocks_has_none_to_compare():
    [record] = [one for one in speed.read(SPEEDS.parents[1], "speed-small")[0] if one.row == "separable"]
    assert record.training.name == "training" and record.timing("inference_1").title == "inference of one image"
    assert {len(blocks) for blocks in speed.Speeds("s", [record], {}, {}).blocks("separable").values()} == {12}
    assert speed.Speeds("s", [record], {}, {}).blocks("hybrid") == {}
