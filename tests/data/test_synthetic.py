"""Images drawn by code: the same for the same values, and no class without its pattern."""

from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from refusals import refused

from hybridsep.config.targets import check_keywords
from hybridsep.data import Dataset, synthetic

CONF = Path(__file__).parents[2] / "conf" / "data"


def values() -> dict:
    source = OmegaConf.load(CONF / "synthetic.yaml").source
    return {key: value for key, value in source.items() if key != "_target_"}


@pytest.fixture(scope="module")
def drawn() -> Dataset:
    return synthetic.load(**values() | {"train": 3000, "test": 2000})


def test_synthetic_images_are_a_function_of_their_config():
    few = values() | {"train": 40, "test": 20}
    one = synthetic.load(**few)
    assert one.sha256 == synthetic.load(**few).sha256 == GOLDEN
    for key, value in {"seed": 1, "contrast": 0.1, "noise": 0.2, "distractors": 1, "side": 16}.items():
        assert synthetic.load(**few | {key: value}).sha256 != one.sha256, key
    assert np.array_equal(one.test_images, synthetic.load(**few | {"train": 50}).test_images)
    assert np.bincount(one.train_labels).tolist() == [4] * 10 and len(one.classes) == 10


GOLDEN = (
    "bed27181a32c3f1c20e18d9af0b6d4b5227e33b5abacbb1256090e2bfc2f96bf"  # the same with and without AVX2 and AVX-512
)


def chance_of(features: np.ndarray, labels: np.ndarray, unseen: np.ndarray, truth: np.ndarray) -> float:
    """Accuracy of a ridge classifier on features (N, D)."""
    centre = features.mean(0)
    x, targets = features - centre, np.eye(10)[labels] - 0.1
    weights = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ targets)
    return float(((unseen - centre) @ weights).argmax(1).__eq__(truth).mean())


def test_neither_pixels_nor_colours_tell_the_class(drawn):
    half = drawn.train_images[:, ::2, ::2], drawn.test_images[:, ::2, ::2]  # 768 features, fewer than images
    flat, colour = ([part.reshape(len(part), -1) / 255 for part in half], [p.mean((1, 2)) / 255 for p in half])
    for features, unseen in (flat, colour):
        assert chance_of(features, drawn.train_labels, unseen, drawn.test_labels) < 0.14


def test_patterns_and_channels_are_both_needed_and_survive_a_flip(drawn):
    """A detector written by hand: energy at each orientation, of the colour differences. Chance is 10 %."""

    rows, columns = np.abs(np.fft.fftfreq(32))[:, None] * 32, np.arange(17)[None]
    radius, angle = np.hypot(rows, columns), np.degrees(np.arctan2(rows, columns))
    sectors = [(radius > 4) & (radius < 9) & (angle >= low) & (angle < low + 15) for low in range(0, 91, 15)]

    def energies(images: np.ndarray, mixes: tuple[tuple[int, ...], ...]) -> np.ndarray:
        power = [np.abs(np.fft.rfft2(images @ np.array(mix) / 255)) ** 2 for mix in mixes]
        return np.stack([np.log(bands[:, sector].sum(1)) for bands in power for sector in sectors], 1)

    def accuracy(mixes, mirrored: bool = False) -> float:
        unseen = drawn.test_images[:, :, ::-1] if mirrored else drawn.test_images
        features = energies(drawn.train_images, mixes)
        return chance_of(features, drawn.train_labels, energies(unseen, mixes), drawn.test_labels)

    differences = ((1, -1, 0), (0, 1, -1), (1, 0, -1))
    assert accuracy(differences) > 0.4
    assert accuracy(differences, mirrored=True) > accuracy(differences) - 0.03
    assert accuracy(((1, 0, 0), (0, 1, 0), (0, 0, 1))) < accuracy(differences) - 0.15


@pytest.mark.parametrize(
    "changes",
    [{"train": 9}, {"test": 0}, {"side": 30}, {"side": 12}, {"noise": 1.5}, {"contrast": "much"}, {"seed": 0.5}],
)
def test_synthetic_refuses_values_out_of_range(changes):
    with refused(key=f"data.source.{next(iter(changes))}="):
        check_keywords(synthetic.load, values() | changes, "data.source")
