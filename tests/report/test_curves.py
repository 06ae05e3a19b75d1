"""`curves`: the mean of a row's trials with its band, for TensorBoard."""

import os

import numpy as np
import pytest
import wording
from conftest import TINY
from event_files import points, read, text, write_history
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from hybridsep.report import __main__ as command
from hybridsep.report import curves, settings, watch
from hybridsep.runs import asked, events, records

TAGS = set(events.TAGS.values())


def test_the_mean_and_its_band_are_those_computed_by_hand(tmp_path, capsys):
    write_history(tmp_path, "separable", 0, [50, 40, 30])
    write_history(tmp_path, "separable", 1, [54, 46])
    write_history(tmp_path, "hybrid", 0, [60, 20])
    records.run_folder(tmp_path, "s", "resnext", 0).mkdir(parents=True)
    words = ["curves", f"results={tmp_path}", "study=s"]
    assert command.main(words) == 0
    assert capsys.readouterr().out == "s: 2 rows, written anew: hybrid, separable\n"
    assert not (tmp_path / "runs/s/resnext/mean").exists()
    found = read(tmp_path / "runs/s/separable/mean")
    assert points(found, "error/test") == [(1, 52), (2, 43), (3, 30)]
    assert points(found, "error/train") == [(1, 51), (2, 42), (3, 29)]
    assert points(found, "loss/test") == [(1, pytest.approx(10.4)), (2, pytest.approx(8.6)), (3, pytest.approx(6))]
    assert points(found, "loss/train")[0] == (1, pytest.approx(5.2))
    # Deviations over two trials: |50 - 54| / sqrt(2), |40 - 46| / sqrt(2); one trial alone has no band.
    band = {end: points(found, f"mean of trials/test error{end}") for end in ("", ", lower", ", upper")}
    assert band[""] == points(found, "error/test")
    lower, upper = ([value for _, value in band[end]] for end in (", lower", ", upper"))
    assert lower == pytest.approx([52 - 8**0.5, 43 - 18**0.5, 30])
    assert upper == pytest.approx([52 + 8**0.5, 43 + 18**0.5, 30])
    assert text(found, "mean").startswith("Mean of trial-00, trial-01, made by")
    (layout,) = found.Tensors("custom_scalars__config__")
    (category,) = Layout.FromString(layout.tensor_proto.string_val[0]).category
    assert [chart.title for chart in category.chart] == ["test error, %", "train error, %"]
    for chart in category.chart:
        (series,) = chart.margin.series
        assert {series.value, series.lower, series.upper} <= set(found.Tags()["scalars"])
        # Of a run that has some of a chart's tags TensorBoard says that the others are missing.
        assert not {series.value, series.lower, series.upper} & TAGS


def test_curves_are_written_anew_when_a_history_changed_and_else_left(tmp_path, capsys):
    write_history(tmp_path, "separable", 0, [50, 40])
    write_history(tmp_path, "hybrid", 0, [50, 40])
    words = ["curves", f"results={tmp_path}", "study=s"]
    assert command.main(words) == 0
    places = {row: tmp_path / "runs/s" / row / "mean" for row in ("separable", "hybrid")}
    before = {path: path.read_bytes() for place in places.values() for path in place.iterdir()}
    reader = read(places["separable"])
    capsys.readouterr()
    assert command.main(words) == 0
    assert capsys.readouterr().out == "s: 2 rows, written anew: none\n"
    assert before == {path: path.read_bytes() for place in places.values() for path in place.iterdir()}
    write_history(tmp_path, "separable", 0, [50, 42, 30])
    assert command.main(words) == 0
    assert capsys.readouterr().out == "s: 2 rows, written anew: separable\n"
    assert [path for path in places["hybrid"].iterdir()] == [path for path in before if "hybrid" in str(path)]
    # The one before is emptied, so that a TensorBoard that has it open goes on to the next.
    assert sorted(path.stat().st_size > 0 for path in places["separable"].iterdir()) == [False, True]
    for found in (read(places["separable"]), reader.Reload()):
        assert points(found, "error/test") == [(1, 50), (2, 42), (3, 30)]
    # A write that was cut short is no hindrance and leaves nothing; neither does another process that is at it.
    (places["separable"] / ".writing-mean").write_bytes(b"half")
    write_history(tmp_path, "separable", 1, [52])
    with records.lock(places["separable"]):
        assert curves.write(tmp_path, "s").changed == []
    for path in places["separable"].glob("*tfevents*"):
        if not path.stat().st_size:
            os.utime(path, (0, 0))
    assert curves.write(tmp_path, "s").changed == ["separable"]
    assert sorted(path.stat().st_size > 0 for path in places["separable"].iterdir()) == [False, True]
    assert curves.write(tmp_path, "s").changed == []


def test_what_has_no_curve_is_said(tmp_path, capsys):
    records.run_folder(tmp_path, "s", "resnext", 0).mkdir(parents=True)
    words = ["curves", f"results={tmp_path}", "study=s"]
    assert command.main(words) == 1
    assert capsys.readouterr().err == "left out: s: no trial has finished an epoch yet\n"
    (write_history(tmp_path, "hybrid", 1, [9]) / "history.csv").write_text("epoch\n1\n")
    write_history(tmp_path, "hybrid", 0, [9])
    assert command.main(words) == 0
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "hybrid/trial-01: history.csv does not have" in said.err
    assert said.out == "s: 1 rows, written anew: hybrid\n"
    write_history(tmp_path, "separable", 0, [9])
    (tmp_path / "runs/s/separable/mean").write_text("a file where a folder should be")
    assert command.main(words) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and f"results={tmp_path} {wording.CANNOT_BE_WRITTEN}" in said.err
    # A study of speed has no trials; one that was asked for and has not begun has none yet.
    (tmp_path / "runs/s/separable/mean").unlink()
    (tmp_path / "speed/fast").mkdir(parents=True)
    capsys.readouterr()
    assert command.main(["curves", f"results={tmp_path}"]) == 0
    assert "fast" not in capsys.readouterr().out
    asked.extend(tmp_path / "runs/figure5", {"fractalnet": [0]})
    assert command.main(["curves", f"results={tmp_path}", "study=figure5"]) == 1
    assert "figure5: no trial has finished" in capsys.readouterr().err


def test_curves_are_kept_up_to_date_until_nothing_is_left_to_train(run, tmp_path, capfd):
    results = tmp_path / "results"
    assert run(*TINY, "schedule.epochs=1")[0] == 0
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        assert len(looks) == 1
        assert len(points(read(results / "runs/tiny/separable/mean"), "error/test")) == 1
        assert run(*TINY, "schedule.epochs=1", "trial=1")[0] == 0

    words = [f"results={results}", "study=tiny", "report.trials=2"]
    watch.watch_curves(settings.load([*words, "watch=7"]), sleep=sleep)
    assert looks == [7]
    errors = [records.read_history(folder)["test_error"][0] for folder in records.find(results)]
    assert len(errors) == 2
    found = read(results / "runs/tiny/separable/mean")
    assert points(found, "error/test") == [(1, pytest.approx(np.mean(errors)))]
    capfd.readouterr()
    assert command.main(["curves", *words, "--watch"]) == 0
    assert capfd.readouterr().out == "tiny: 1 rows, written anew: none\n"
