"""Why a statistic is not there."""

from enum import StrEnum

import numpy as np


class Reason(StrEnum):
    """Why something could not be computed, in words for a reader."""

    NO_TRIALS = "no trials"
    ONE_TRIAL = "one trial has no spread"
    ONE_OF_BASELINE = "one baseline trial has no other to be compared with"
    NO_SPREAD = "all trials agree, so there is no spread to judge by"
    NO_SPREAD_OF_ONE = "one of the rows has no spread"
    TOO_FEW_TO_RESAMPLE = "too few trials for a bootstrap at this level"
    TOO_FEW_VALUES = "too few different values for a bootstrap"
    NO_SPLIT = "fewer than two runs each without a common trial"
    SAME_IMAGES_WRONG = "the two are wrong on the same images"


def lacking(*samples: np.ndarray) -> Reason | None:
    """Return why the samples have no spread to judge by; None when they have."""
    if min(map(len, samples)) == 0:
        return Reason.NO_TRIALS
    if min(map(len, samples)) == 1:
        return Reason.ONE_TRIAL
    # Equal decimals differ by rounding: 6.1 - 6.0 is not 8.1 - 8.0.
    return Reason.NO_SPREAD if max(map(np.ptp, samples)) < 1e-9 else None
