"""The script's files are a dataset that `data=cifar10_jpeg` reads."""

import sys
from pathlib import Path

import numpy as np

from hybridsep.data import imagefolder, synthetic

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import make_jpeg_copy  # noqa: E402


def test_a_copy_holds_every_image_in_its_class(tmp_path):
    drawn = {"seed": 0, "contrast": 0.1, "distractors": 1, "distraction": 0.1, "noise": 0.0, "side": 16}
    dataset = synthetic.load(train=40, test=20, **drawn)
    assert make_jpeg_copy.write(dataset, tmp_path / "copy", quality=95) == 60
    found = imagefolder.load(path=tmp_path / "copy", cache=tmp_path / "cache", name="n", title="t")
    assert sorted(dataset.classes) == list(found.classes) and len(found.test_images) == 20
    first = dataset.train_images[dataset.train_labels == dataset.classes.index(found.classes[0])]
    assert np.abs(found.train_images[: len(first)].astype(int) - first).mean() < 8
