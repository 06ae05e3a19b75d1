"""The table of speed and its claim; a file that cannot be used is named with its first wrong key."""

import copy
import csv
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from hybridsep.bench.timing import spread
from hybridsep.report import claims, conditions, settings, speed, speed_records

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
    records, [problem] = speed_records.read(tmp_path, "speed-small")
    assert [record.row for record in records] == ["inception"]
    assert f"separable.json: not a measurement of speed ({words}" in problem.message
    assert "\n" not in problem.message


def test_a_record_without_blocks_has_none_to_compare():
    [record] = [one for one in speed_records.read(SPEEDS.parents[1], "speed-small")[0] if one.row == "separable"]
    assert record.training.name == "training" and record.timing("inference_1").title == "inference of one image"
    assert {len(blocks) for blocks in speed.Speeds("s", [record], {}, {}).blocks("separable").values()} == {12}
    assert speed.Speeds("s", [record], {}, {}).blocks("hybrid") == {}


def record_of(row: str, training: float, **changes) -> dict:
    def entry(what: str, batch: int, median: float) -> dict:
        rate = {"median": median, "iqr": 2.0, "n": 10}
        return {"what": what, "batch": batch, "images_per_second": rate, "steps_per_block": 1, "peak_bytes": 2_000_000}

    return {
        "format": 1,
        "study": "s",
        "row": row,
        "title": row.title(),
        "cost": {"params": 1000, "macs": 2000},
        "precision": "float32",
        "execution": "eager",
        "measurements": [entry("training", 128, training), entry("inference", 1, 50.0), entry("inference", 256, 9e3)],
        "busy_elsewhere": 0.0,
        "config": {"speed": {"height": 32, "classes": 10}, "size": {"name": "small"}, "match": "none"},
        "machine": {"processor": "P", "threads": 2},
        "versions": {"torch": "2.13.0"},
        "measured": "2026-01-02T00:00:00+00:00",
        **changes,
    }


def measured_of(folder, *records):
    place = folder / "speed/s"
    place.mkdir(parents=True)
    for record in records:
        (place / f"{record['row']}.json").write_text(json.dumps(record))
    return speed.load(folder, "s", settings.paper())


def table_of(folder, *records):
    measured, problems = measured_of(folder, *records)
    return speed.table(measured, settings.load([]).report), [problem.message for problem in problems]


def csv_of(table) -> list[dict[str, str]]:
    return list(csv.DictReader(table.csv.splitlines()))


def test_each_row_is_held_against_the_separable_form_of_its_network(tmp_path):
    rows = {"darknet": 50.0, "separable": 1000.0, "own": 500.0, "darknet_separable": 200.0, "inception": 800.0}
    table, problems = table_of(tmp_path, *(record_of(row, median) for row, median in rows.items()))
    assert not problems and table.warning is None
    cells = {row["row"]: cell for row, cell in zip(csv_of(table), table.cells("files"), strict=True)}
    assert list(cells) == ["separable", "inception", "darknet_separable", "darknet", "own"]
    assert {row: cell[4] for row, cell in cells.items()} == {
        "separable": "x 1.00",
        "inception": "x 0.80",
        "darknet_separable": "x 1.00",
        "darknet": "x 0.25",
        "own": "x 0.50",
    }
    assert cells["own"][:4] == ["Own", "1 k", "2 k", "500 ± 1"] and cells["own"][5:] == [
        "50.0 ± 1.0",
        "9,000 ± 1",
        "2 MB",
    ]


def test_what_cannot_stand_in_one_table_is_named(tmp_path):
    table, problems = table_of(
        tmp_path,
        record_of("separable", 100.0, busy_elsewhere=1.5),
        record_of("resnext", 100.0),
        record_of("hybrid", 100.0, precision="bfloat16"),
        record_of("dense", 100.0, machine={"processor": "P", "threads": 1}),
        record_of("reformulated_inception", 100.0, config={"speed": {"height": 64, "classes": 10}, "match": "none"}),
        record_of("inception", float("nan")),
        record_of("darknet", 100.0, study="another"),
        record_of("fractalnet", 100.0, measurements=[]),
    )
    assert [row["row"] for row in csv_of(table)] == ["separable", "resnext"]
    assert "up to 1.5 cores busy while 1 of 2 rows were measured (separable)" in table.warning
    reasons = {text.split(".json: ")[0].rsplit("/", 1)[1]: text.split(".json: ")[1] for text in problems}
    assert reasons.keys() == {"hybrid", "dense", "reformulated_inception", "inception", "darknet", "fractalnet"}
    assert "machine.threads 1, not 2" in reasons["dense"]
    assert "size.name unknown, not small, speed.height 64, not 32" in reasons["reformulated_inception"]
    assert "precision bfloat16, not float32" in reasons["hybrid"]
    assert "measurements.0.images_per_second.median" in reasons["inception"] and "another/darknet" in reasons["darknet"]
    assert not any("\n" in text for text in problems)


def test_nothing_measured_is_no_table(tmp_path):
    measured, problems = speed.load(tmp_path, "s", settings.paper())
    assert (measured.records, problems) == ([], [])


ROWS_OF_THE_CLAIM = ("separable", "dense", "inception", "resnext", "reformulated_inception")


def timed(row: str, training: list[float], inference: list[float], size: str = "paper") -> dict:
    """A record with the blocks that were timed: of training, and of inference of one image."""
    record = record_of(row, 1.0)
    record["config"]["size"]["name"] = size
    record["config"]["model"] = copy.deepcopy(conditions.composed("speed", row)["model"])
    if size == "small":
        record["config"]["model"]["network"]["widths"] = [32, 64, 128]
    record["measurements"] = record["measurements"][:2]
    for entry, blocks in zip(record["measurements"], (training, inference), strict=True):
        entry["images_per_second"] = {**asdict(spread(blocks)), "blocks": blocks}
    return record


def claim_of(folder, *records) -> claims.Verdict:
    measured, _ = measured_of(folder, *records)
    verdicts = claims.judge({}, measured, settings.paper(), settings.load([]).report)
    return next(verdict for verdict in verdicts if verdict.name == "speed")


def test_faster_is_judged_in_training_and_inference_against_the_plain_convolution_too(tmp_path):
    def rows(*, dense: list[float], size: str = "paper") -> list[dict]:
        others = [timed(row, [50.0, 51.0, 49.0], [5.0, 5.1, 4.9], size) for row in ROWS_OF_THE_CLAIM[2:]]
        separable = timed("separable", [100.0, 102.0, 98.0], [10.0, 10.2, 9.8], size)
        return [separable, timed("dense", [80.0, 81.0, 79.0], dense, size), *others]

    found = claim_of(tmp_path / "faster", *rows(dense=[8.0, 8.1, 7.9]))
    assert found.verdict == found.here == "reproduced" and found.n == 3
    # Welch's interval of the logarithms at 0.05/8, by SciPy: a factor of 1.25, give or take exp(0.0835).
    assert "Dense (training) x 1.25 [1.15, 1.36]; Dense (inference of one image) x 1.25" in found.measured
    found = claim_of(tmp_path / "slower", *rows(dense=[12.0, 12.1, 11.9]))
    assert "Dense (inference of one image): slower" in found.shows
    assert found.verdict == "contradicted" and "Dense (inference of one image) x 0.83" in found.measured
    found = claim_of(tmp_path / "unclear", *rows(dense=[8.0, 10.0, 14.0]))
    assert found.here == "inconclusive" and "Dense (inference of one image): undecided" in found.shows
    found = claim_of(tmp_path / "small", *rows(dense=[8.0, 8.1, 7.9], size="small"))
    assert (found.here, found.verdict) == ("reproduced", "inconclusive")
    assert found.because == "model.network.widths is 32-64-128 in place of 128-256-512"


def test_faster_is_not_judged_without_the_blocks_that_were_timed(tmp_path):
    found = claim_of(tmp_path / "old", *(record_of(row, 50.0) for row in ROWS_OF_THE_CLAIM))
    assert found.here == "not run" and "not timed, block by block" in found.measured
    without = [timed(row, [50.0, 51.0, 49.0], [5.0, 5.1, 4.9]) for row in ROWS_OF_THE_CLAIM if row != "dense"]
    assert claim_of(tmp_path / "without", *without).here == "not run"
