"""Step times in the ways that a study can take, and how many epochs fit."""

import json
import statistics

import pytest
from scripts.benchmarks import step_times
from scripts.benchmarks.step_times import Way, epoch_seconds, epochs_that_fit


def test_rows_are_measured_as_they_train_and_the_last_line_says_how_many_epochs_fit(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(step_times, "_SECONDS_OF_A_BLOCK", 0.001)
    words = ["--size", "tiny", "--batch", "16", "--threads", "1", "--seconds", "0", "--study-seconds", "100"]
    words += ["--train-images", "1600", "--results", str(tmp_path), "--models", "separable", "hybrid", "--"]
    step_times.main([*words, "experiment=figure4", "trial=0..2", "data=cifar10_jpeg", "data.path=x"])
    record = json.loads((tmp_path / "bench/steps-tiny-cpu.json").read_text())
    assert [(time["row"], time["way"]["at_once"]) for time in record["times"]] == [
        ("separable", 2),
        ("hybrid", 2),
    ], "every row as it trains comes first, also when the time is over"
    medians = [statistics.median(time["milliseconds"]) for time in record["times"]]
    epoch = epoch_seconds(medians, trials=3, steps=100)
    assert epoch == pytest.approx(sum(medians) / 1e3 * 300 * 1.07)
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"epochs {epochs_that_fit(100, epoch, rows=2)}"
    assert [path.name for path in (tmp_path / "bench").iterdir() if "unfinished" in path.name] == []


def test_how_many_epochs_fit():
    # 28 s of 300 go into the starts of two rows; 8 % of the rest is kept in hand.
    assert epochs_that_fit(300, 25.0, rows=2) == int(272 * 0.92 / 25) == 10
    assert epochs_that_fit(30, 25.0, rows=2) == 1


def test_a_failed_way_is_named_and_does_not_take_the_others_along(tmp_path, capsys, monkeypatch):
    def measure(row, workloads, way, device, *, bfloat16):
        if way.fast:
            raise RuntimeError("out of something")
        return step_times.StepTime(row, way, [1.0, 2.0, 4.0])

    monkeypatch.setattr(step_times, "measure", measure)
    words = ["--size", "tiny", "--batch", "16", "--threads", "1", "--results", str(tmp_path)]
    step_times.main([*words, "--models", "separable_equivalent", "--", "trial=0"])
    record = json.loads((tmp_path / "bench/steps-tiny-cpu.json").read_text())
    assert record["failed"] == {"separable_equivalent, 1 at once, fast": "RuntimeError: out of something"}
    text = (tmp_path / "bench/steps-tiny-cpu.md").read_text()
    ways = [Way(**time["way"]) for time in record["times"]]
    assert ways == [Way(1), Way(1, deterministic=False)]
    assert "| separable_equivalent | 1 at once | 2.000 | 1.000 to 4.000 |" in text
    assert "Failed: separable_equivalent, 1 at once, fast" in text


def test_ways_on_a_gpu_begin_with_what_a_study_has_to_know():
    class Row:
        has_fast = False

    found = list(step_times.ways({"a": Row(), "b": Row()}, 10))
    assert found[:2] == [("a", Way(10)), ("b", Way(10))]
    assert ("a", Way(10, deterministic=False)) in found and {("b", Way(1)), ("b", Way(4))} < set(found)
    assert not any(way.fast for _, way in found), "these have no faster way"
