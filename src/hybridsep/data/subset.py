"""Which images a trial is evaluated on: 6,000 randomly selected ones, of the test images or held out of all."""

from functools import lru_cache
from typing import Final

import numpy as np

from hybridsep.config.schema import SubsetMode
from hybridsep.errors import ConfigError
from hybridsep.runs.seeds import stream

HELD_OUT: Final = "heldout"  # the mode in which each trial has training and test images of its own


@lru_cache(maxsize=256)
def evaluation_subset(*, mode: SubsetMode, images: int, available: int, study_seed: int, trial: int) -> np.ndarray:
    """Return sorted int64 indices into the test images, read-only, the same for every model of a trial.

    `paper` draws `images` of `available` for each trial, `fixed` draws them once for the study, `all` takes every one
    and ignores `images`; so does `heldout`, whose test images are those that `held_out` drew. Raises ConfigError for a
    number of images outside 1..available.
    """
    if mode in ("all", HELD_OUT):
        chosen = np.arange(available, dtype=np.int64)
    else:
        chosen = _draw(images, available, study_seed, "fixed" if mode == "fixed" else trial)
    chosen.flags.writeable = False  # every caller has the same array
    return chosen


def held_out(*, images: int, pooled: int, study_seed: int, trial: int) -> np.ndarray:
    """Return sorted int64 indices into the `pooled` training and test images: those that a trial is not shown.

    They are drawn from the trial's own stream, the same for every model. Raises ConfigError for a number of images that
    leaves none to train on.
    """
    if not 1 <= images < pooled:
        raise ConfigError(f"evaluation.images={images} is not allowed: 1 to {pooled - 1} of the {pooled} images")
    return _draw(images, pooled, study_seed, HELD_OUT, trial)


def redrawn_subset(*, images: int, available: int, study_seed: int, draw: int, trial: int) -> np.ndarray:
    """Return another draw of `trial`'s subset, number `draw`, to see how much the choice of images matters."""
    return _draw(images, available, study_seed, "redraw", draw, trial)


def _draw(images: int, available: int, study_seed: int, *indices: int | str) -> np.ndarray:
    if not 1 <= images <= available:
        raise ConfigError(f"evaluation.images={images} is not allowed: 1 to {available}, the number of test images")
    chosen = stream(study_seed, "subset", *indices).choice(available, size=images, replace=False)
    return np.sort(chosen.astype(np.int64))
