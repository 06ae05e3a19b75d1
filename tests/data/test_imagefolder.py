"""Somebody's own images, by the command that they type."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybridsep.runs import records
from hybridsep.runs.seeds import stream

WORDS = ("data=imagefolder", "size=tiny", "schedule=short", "schedule.epochs=1", "schedule.warmup_epochs=0")
WORDS += ("schedule.batch_size=8", "threads=1", "precision=float32", "study=own")


def photographs(folder: Path, side: tuple[int, int], parts: tuple[str, ...] = ("train", "test")) -> Path:
    for number, (part, label) in enumerate((part, label) for part in parts for label in "ab"):
        (folder / part / label).mkdir(parents=True)
        for image in range(10):
            values = stream(number, "test", image).integers(0, 256, (*side, 3), dtype=np.uint8)
            Image.fromarray(values).save(folder / part / label / f"{image}.PNG")
    return folder


def test_photographs_of_any_size_are_trained_on_as_the_refusals_say(run, tmp_path):
    folder = photographs(tmp_path / "photos", (48, 64), ("train",))
    words = [*WORDS, f"data.path={folder}"]
    assert "data.side=32" in run(*words)[1]
    status, said = run(*words, "data.side=32")
    assert status == 2 and "no test/ in it; data.split=0.2" in said
    status, said = run(*words, "data.side=32", "data.split=0.2")
    assert status == 0, said
    record = records.read(tmp_path / "results/runs/own/separable/trial-00")
    assert record["config"]["data"]["side"] == 32 and record["config"]["data"]["split"] == 0.2
    assert [record["dataset"][key] for key in ("train", "test", "height")] == [16, 4, 32]
    # Another size is another run.
    status, said = run(*words, "data.side=16", "data.split=0.2")
    assert status == 2 and "holds another run (data.side 32 -> 16)" in said
    assert sorted(path.name for path in (tmp_path / "results/runs").iterdir()) == ["own"]


@pytest.mark.parametrize("word", ["data.side=32", "data.split=0.2"])
def test_keys_of_own_images_are_refused_elsewhere(run, word):
    status, said = run("data=synthetic", *WORDS[1:], word)
    assert status == 2 and f"{word} is not used by this dataset" in said


def test_a_batch_of_one_small_image_is_refused_before_any_trial(run, tmp_path):
    words = [*WORDS, f"data.path={photographs(tmp_path / 'small', (8, 8))}"]
    status, said = run(*words, "schedule.batch_size=1")
    assert status == 2 and "schedule.batch_size=1 is not allowed with images of 8 x 8 pixels: at least 2" in said
    assert not (tmp_path / "results").exists()


def test_other_arithmetic_names_the_precision_that_goes_on(run, tmp_path):
    words = [*WORDS, f"data.path={photographs(tmp_path / 'small', (8, 8))}"]
    assert run(*words)[0] == 0
    status, said = run(*words, "precision=bfloat16")
    assert status == 2 and "precision float32 -> bfloat16" in said and "precision=float32 goes on with it" in said
