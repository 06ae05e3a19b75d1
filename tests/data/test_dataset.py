"""A dataset: what it checks, its identity, the statistics of its channels."""

from pathlib import Path

import numpy as np
import pytest
from made_images import dataset
from omegaconf import OmegaConf
from refusals import refused

from hybridsep.data import channel_statistics
from hybridsep.errors import DataError
from hybridsep.runs.record import DatasetIdentity
from hybridsep.runs.seeds import stream

CONF = Path(__file__).parents[2] / "conf" / "data"


def test_identity_is_of_the_content():
    one = dataset()
    assert one.identity() == DatasetIdentity(one.sha256, "n", "t", 4, 2, ("a", "b"), height=8, width=8)
    assert dataset(name="other", title="other").sha256 == one.sha256
    pixel = one.test_images.copy()
    pixel[1, 7, 7, 2] ^= 1
    labels = np.array([0, 1, 1, 0])
    moved = {"train_images": one.train_images[:2].copy(), "train_labels": np.array([0, 1])}
    others = ({"test_images": pixel}, {"train_labels": labels}, {"classes": ("a", "c")}, moved)
    assert len({one.sha256, *(dataset(**other).sha256 for other in others)}) == 5


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"train_images": np.zeros((4, 8, 12, 3), np.uint8)}, "12 x 8"),
        ({"train_images": np.zeros((4, 10, 10, 3), np.uint8)}, "divisible by 4"),
        ({"train_images": np.zeros((4, 8, 8, 3), np.float32)}, "uint8"),
        ({"train_images": np.zeros((4, 8, 8, 6), np.uint8)[..., ::2]}, "contiguous"),
        ({"test_images": np.zeros((2, 12, 12, 3), np.uint8)}, "one size"),
        ({"train_labels": np.array([0, 1, 2, 1])}, "from 0 to 1"),
        ({"train_labels": np.array([0, 1, -1, 1])}, "from 0 to 1"),
        ({"train_labels": np.array([0, 1, 1])}, "int64"),
        ({"test_labels": np.array([1, 1])}, "class a has no image"),
        ({"classes": ("a", "b", "c")}, "class c has no image"),
        ({"classes": ("a", "a")}, "two different classes"),
        ({"train_images": np.zeros((0, 8, 8, 3), np.uint8), "train_labels": np.zeros(0, np.int64)}, "no image"),
    ],
)
def test_a_dataset_checks_itself(changes, word):
    with refused(word, kind=DataError):
        dataset(**changes)


def test_channel_statistics_are_exact():
    images = np.zeros((2, 2, 2, 3), np.uint8)
    images[0, :, :, 0], images[0, :, :, 1], images[0, :, :, 2] = 255, 51, 102
    mean, std = channel_statistics(images)
    assert mean == (0.5, 0.1, 0.2) and std == (0.5, 0.1, 0.2)
    many = stream(0, "test").integers(0, 256, (3000, 8, 8, 3), dtype=np.uint8)
    want = (many / 255).reshape(-1, 3)
    np.testing.assert_allclose(channel_statistics(many), (want.mean(0), want.std(0)), rtol=1e-12)
    with refused("channel G", kind=DataError):
        channel_statistics(images * np.array([1, 0, 1], np.uint8))


def test_cifar_is_normalised_with_its_true_statistics():
    for file in ("cifar10.yaml", "cifar10_jpeg.yaml"):
        config = OmegaConf.load(CONF / file)
        assert config.mean == [0.4914, 0.4822, 0.4465]
        assert config.std == [
            0.2470,
            0.2435,
            0.2616,
        ]  # .2023 .1994 .2010, often seen, are means of per-image deviations
