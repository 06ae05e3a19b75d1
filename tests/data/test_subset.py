"""evaluation.subset=heldout: each trial is tested on images that it was not shown, the same for every model."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from conftest import TINY
from made_images import dataset
from made_runs import read_record
from refusals import check_refused, refused

from hybridsep.data import synthetic
from hybridsep.data.subset import evaluation_subset, held_out, redrawn_subset
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
    record = read_record(folders["separable"][0])
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
            result, wrong = read_record(folders[row][trial])["result"], logits.argmax(1) != truth
            assert result["test_error"] == result["test_error_all"] == pytest.approx(100 * wrong.mean())
    # What is trained on differs, so it is another run; how many are held out too.
    for other in ("evaluation.subset=paper", "evaluation.images=40"):
        ended = run(*TINY, "schedule.epochs=1", "schedule.warmup_epochs=0", "evaluation.subset=heldout", other)
        check_refused(ended, other.partition("=")[0])


def test_the_report_compares_trials_on_their_own_images(study, tmp_path, capfd):
    words = [f"results={study}", "study=tiny", "report.resamples=99", "report.groups=100"]
    assert report.main([*words, "report.redraws=1", "report.baseline=separable", "report.draw=false"]) == 0, (
        capfd.readouterr().err
    )
    said = capfd.readouterr()
    assert "left out" not in said.err
    (table,) = [path for path in (study / "tables" / "tiny").glob("*.csv") if path.stem.endswith("-trials")]
    with table.open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6
    for line in lines:
        folder = records.run_folder(study, "tiny", line["row"], int(line["trial"]))
        assert float(line["error"]) == pytest.approx(read_record(folder)["result"]["test_error"], abs=1e-3)
    page = next((study / "tables" / "tiny").glob("*.md")).read_text()
    assert "29 images that each trial held out of training" in page
    assert report.main(["compare", "separable", "hybrid", *words]) == 0


def subset(**changes) -> np.ndarray:
    keywords = {"mode": "paper", "images": 6000, "available": 10_000, "study_seed": 0, "trial": 0}
    return evaluation_subset(**keywords | changes)


def test_subsets_are_drawn_from_named_streams():
    paper = subset()
    assert paper.dtype == np.int64 and len(paper) == 6000 and np.all(np.diff(paper) > 0) and paper[-1] < 10_000
    assert paper[:8].tolist() == [1, 4, 5, 6, 7, 8, 11, 12]
    assert subset(trial=1)[:8].tolist() == [0, 3, 6, 7, 8, 9, 11, 17]
    assert subset(mode="fixed")[:8].tolist() == [2, 4, 5, 8, 9, 11, 12, 13]
    assert np.array_equal(subset(mode="fixed"), subset(mode="fixed", trial=7))
    assert np.array_equal(subset(mode="all", images=3), np.arange(10_000))
    draws = [redrawn_subset(images=6000, available=10_000, study_seed=0, draw=draw, trial=0) for draw in range(3)]
    assert len({draw.tobytes() for draw in (*draws, paper, subset(study_seed=1), subset(mode="fixed"))}) == 6
    assert np.array_equal(subset(images=10_000), np.arange(10_000))


@pytest.mark.parametrize("changes", [{"images": 0}, {"images": 10_001}, {"mode": "fixed", "images": -1}])
def test_impossible_subsets_are_refused(changes):
    with refused(key="evaluation."):
        subset(**changes)


def test_held_out_images_are_the_trials_own_and_none_is_trained_on():
    chosen = held_out(images=6000, pooled=60_000, study_seed=0, trial=0)
    assert chosen.dtype == np.int64 and len(np.unique(chosen)) == 6000 and np.all(np.diff(chosen) > 0)
    assert chosen[0] >= 0 and chosen[-1] < 60_000 and (chosen >= 50_000).any() and (chosen < 50_000).any()
    others = [held_out(images=6000, pooled=60_000, study_seed=seed, trial=trial) for seed, trial in ((0, 1), (1, 0))]
    assert len({draw.tobytes() for draw in (chosen, *others)}) == 3
    assert np.array_equal(chosen, held_out(images=6000, pooled=60_000, study_seed=0, trial=0))
    assert np.array_equal(subset(mode="heldout", available=6000), np.arange(6000))
    with refused(key="evaluation.images=60"):
        held_out(images=60, pooled=60, study_seed=0, trial=0)
    one = dataset(classes=("a", "b"), test_labels=np.array([0, 1]))
    own = one.held_out(np.array([1, 4]))
    pooled = np.concatenate([one.train_images, one.test_images])
    assert np.array_equal(own.test_images, pooled[[1, 4]]) and np.array_equal(own.train_images, pooled[[0, 2, 3, 5]])
    assert own.test_labels.tolist() == [1, 0] and own.train_labels.tolist() == [0, 0, 1, 1]
    assert one.held_out(np.array([0, 2])).test_labels.tolist() == [0, 0]
    with refused("class b", "train part"):
        one.held_out(np.array([1, 3, 5]))


def test_reading_records_needs_no_torch():
    code = "import hybridsep.data.subset, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
