"""`report compare`: two rows against each other, and the test images that they dispute."""

import csv
import io
import json

import made_runs as fabricate
import numpy as np
from conftest import TINY
from PIL import Image
from refusals import check_refused, refused

from hybridsep.errors import DataError
from hybridsep.report import contrasts, folders, pair, runset, settings
from hybridsep.report.__main__ import main


def printed(capsys, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(list(words))
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def pair_of(results, row: str, other: str) -> runset.RunSet:
    runs, _ = folders.read(results, ["s"])
    return contrasts.joined(runset.split("s", runs, settings.paper(), settings.load([]).report)[0], (row, other))


def test_against_the_baseline_it_says_what_the_table_says(tmp_path, capsys):
    fabricate.study(tmp_path, "s", {"separable": 8.0, "resnext": 9.0, "hybrid": 8.3}, trials=5, images=500)
    assert main([f"results={tmp_path}", "study=s", "report.draw=false", "report.redraws=1"]) == 0
    with open(tmp_path / "tables/s/figure4.csv") as file:
        line = next(line for line in csv.DictReader(file) if line["row"] == "resnext")
    status, out, _ = printed(capsys, "compare", "resnext", "separable", f"results={tmp_path}", "report.draw=false")
    assert status == 0
    assert f"{float(line['mean']):+.2f} [{float(line['low']):+.2f}, {float(line['high']):+.2f}]" in out
    assert f"{float(line['p']):.3f}" in out and "5 trials, paired by trial" in out
    # The other way round it is the same with the other sign; and neither need be a table's baseline.
    status, out, _ = printed(capsys, "compare", "separable", "resnext", f"results={tmp_path}", "report.draw=false")
    assert f"{-float(line['mean']):+.2f} [{-float(line['high']):+.2f}, {-float(line['low']):+.2f}]" in out
    assert printed(capsys, "compare", "hybrid", "resnext", f"results={tmp_path}", "report.draw=false")[0] == 0


def test_disputed_images_are_those_that_one_row_gets_wrong_oftener(tmp_path):
    fabricate.study(tmp_path, "s", {"separable": 8.0, "resnext": 8.0}, trials=2, images=100)
    found = pair_of(tmp_path, "resnext", "separable")
    right = found.first.labels
    for row in ("resnext", "separable"):
        for run in found.runs[row].values():
            run.predicted[:] = right
    wrong = (right + 1) % 10
    for trial in (0, 1):
        found.runs["resnext"][trial].predicted[[7, 50]] = wrong[[7, 50]]
        found.runs["separable"][trial].predicted[50] = wrong[50]  # both are wrong on it: not disputed
    found.runs["resnext"][0].predicted[3] = wrong[3]
    found.runs["separable"][1].predicted[9] = wrong[9]
    first, second = pair.disputed(found)
    assert first.indices.tolist() == [7, 3] and first.wrong.tolist() == [[2, 0], [1, 0]] and first.trials == 2
    assert second.indices.tolist() == [9] and second.wrong.tolist() == [[0, 1]]


def test_the_picture_shows_the_test_images_of_the_runs(run, tmp_path, capfd):
    results = tmp_path / "results"
    assert run("-m", *TINY, "model=separable,resnext", "trial=0..1")[0] == 0
    status, out, err = printed(capfd, "compare", "resnext", "separable", f"results={results}")
    assert status == 0 and err == ""
    path = results / "figures/tiny/compare/resnext-separable.png"
    assert f"Written: {path}" in out
    pixels = np.array(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
    assert pixels.shape[1] > 1000 and pixels.std() > 5
    # Another dataset under the same record is found out, and the numbers are printed all the same.
    for folder in sorted((results / "runs/tiny").glob("*/trial-*")):
        content = json.loads((folder / "record.json").read_text())
        content["dataset"]["sha256"] = "0" * 64
        (folder / "record.json").write_text(json.dumps(content))
    path.unlink()
    status, out, err = printed(capfd, "compare", "resnext", "separable", f"results={results}")
    assert status == 0 and "Difference in points" in out and not path.exists()
    assert "no picture: " in err and "other images than the runs were made on" in err
    # A record names code; only this project's own is called.
    runs, _ = folders.read(results, ["tiny"])
    found = runset.split("tiny", runs, settings.paper(), settings.load([]).report)[0][0]
    source = found.first.record.settings.data.source
    own = dict(source)
    for change, named in (
        ({"_target_": "os.system"}, "os.system"),
        ({"_target_": "hybridsep.data.cache.remove"}, "hybridsep.data.cache.remove"),
        ({"_target_": "hybridsep.data.images.os.load"}, "hybridsep.data.images.os"),
        ({"_target_": "hybridsep.data.images.load"}, "hybridsep.data.images"),
        # A record of another version, whose images were asked for with other keywords.
        ({"blur": 1}, "data.source.blur"),
        ({"train": "many"}, "data.source.train=many"),
    ):
        source.update(change)
        with refused(named, kind=DataError):
            pair.dataset(found, None)
        source.clear()
        source.update(own)
    del source["train"]
    with refused("data.source.train is missing", kind=DataError):
        pair.dataset(found, None)


def test_a_row_of_another_schedule_is_named_with_what_differs(tmp_path, capsys):
    fabricate.study(tmp_path, "s", {"separable": 8.0, "resnext": 9.0}, trials=1, images=100)
    fabricate.run(tmp_path, "s", "hybrid", 0, images=100, change={"schedule.learning_rate": 0.5})
    status, _, err = printed(capsys, "compare", "hybrid", "resnext", f"results={tmp_path}")
    check_refused((status, err), "hybrid", "schedule.learning_rate is 0.5, not 0.1", program="hybridsep.report")
