"""evaluation.subset=heldout: each trial is tested on images that it was not shown, the same for every model."""

import csv

import numpy as np
import pytest
from conftest import TINY

from hybridsep.data import synthetic
from hybridsep.data.subset import held_out
from hybridsep.report import __main__ as report
from hybridsep.runs import records


@pytest.fixture
def study(run, tmp_path):
    words = ("-m", *TINY, "schedule.epochs=1", "schedule.warmup_epochs=0", "evaluation.subset=heldout")
    status, said = run(*words, "model=separable,hybrid", "trial=0..2")
    assert status == 0 and said.count(" % of its held-out images, ") == 6 and "all test images" not in said, said
    return tmp_path / "results"


def test_each_trial_keeps_the_predictions_of_images_it_was_not_shown(study, run):
    folders = {
        row: [records.run_folder(study, "tiny", row, trial) for trial in range(3)] for row in ("separable", "hybrid")
    }
    record = records.read(folders["separable"][0])
    assert record["config"]["evaluation"] == {"subset": "heldout", "images": 29}  # a tenth of 192 + 100
    assert (record["dataset"]["train"], record["dataset"]["test"]) == (192, 100)
    source = {key: value for key, value in record["config"]["data"]["source"].items() if key != "_target_"}
    dataset = synthetic.load(**source)
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    for trial in range(3):
        chosen = held_out(images=29, pooled=292, study_seed=0, trial=trial)
        for row in folders:
            logits, truth = records.read_predictions(folders[row][trial])
            assert logits.shape == (29, 10) and np.array_equal(truth, labels[chosen])
            result, wrong = records.read(folders[row][trial])["result"], logits.argmax(1) != truth
            assert result["test_error"] == result["test_error_all"] == pytest.approx(100 * wrong.mean())
    # What is trained on differs, so it is another run; how many are held out too.
    for other in ("evaluation.subset=paper", "evaluation.images=40"):
        status, said = run(*TINY, "schedule.epochs=1", "schedule.warmup_epochs=0", "evaluation.subset=heldout", other)
        assert status == 2 and "holds another run (evaluation." in said


def test_the_report_compares_trials_on_their_own_images(study, tmp_path, capfd):
    words = [f"results={study}", "study=tiny", "report.baseline=separable", "report.draw=false"]
    assert report.main(words) == 0, capfd.readouterr().err
    said = capfd.readouterr()
    assert "left out" not in said.err
    (table,) = [path for path in (study / "tables" / "tiny").glob("*.csv") if path.stem.endswith("-trials")]
    with table.open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6
    for line in lines:
        folder = records.run_folder(study, "tiny", line["row"], int(line["trial"]))
        assert float(line["error"]) == pytest.approx(records.read(folder)["result"]["test_error"], abs=1e-3)
    page = next((study / "tables" / "tiny").glob("*.md")).read_text()
    assert "29 images that each trial held out of training" in page
    assert report.main(["compare", "separable", "hybrid", *words[:2]]) == 0


@pytest.mark.parametrize(
    "word, answer",
    [
        ("evaluation.images=292", "evaluation.images=292 is not allowed: 1 to 291 of the 292 images"),
        ("evaluation.images=280", "schedule.batch_size=64 is not allowed: there are 12 training images"),
    ],
)
def test_too_many_held_out_images_are_refused(run, word, answer):
    status, said = run(*TINY, "evaluation.subset=heldout", word)
    assert status == 2 and answer in said
