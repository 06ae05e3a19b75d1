"""The noise floor: how large a mean absolute difference is when nothing differs but the seed."""

from typing import Any

import numpy as np

from hybridsep.report.difference import NO_TRIALS


def pair_differences(cross: np.ndarray, *, same_images: bool) -> np.ndarray:
    """Absolute differences of all ordered pairs i != j of trials of one network, flat, in percentage points.

    `cross` (n, n) is the error of trial i on the images of trial j. With `same_images` both are judged on the images of
    j, as a row and its baseline are; otherwise each on its own, as independent experiments would be.
    """
    own = np.diag(cross)
    differences = np.abs(cross - own[np.newaxis, :] if same_images else own[:, np.newaxis] - own[np.newaxis, :])
    return differences[~np.eye(len(cross), dtype=bool)]


def noise_floor(
    cross: np.ndarray, *, same_images: bool, size: int, groups: int, alpha: float, rng: np.random.Generator
) -> dict[str, Any]:
    """Mean |difference| over all pairs of trials of one network, and its spread over groups of `size` pairs.

    Groups are drawn with replacement from the pairs, since a row's number is a mean of `size` absolute differences;
    `low` and
    `high` hold 1 - alpha of them. `theory` is 2 s / sqrt(pi), E|X - Y| of two independent normal variables of standard
    deviation s, and refers to trials that are judged each on its own images.
    """
    n = len(cross)
    if n < 2:
        reason = NO_TRIALS if n == 0 else "one baseline trial has no other to be compared with"
        return dict.fromkeys(("mean", "low", "high", "spread", "theory"), None) | {"n": n, "pairs": 0, "reason": reason}
    pairs = pair_differences(cross, same_images=same_images)
    means = np.empty(groups)
    # In portions, because groups x size numbers need not fit in memory.
    step = max(1, 2_000_000 // size)
    for start in range(0, groups, step):
        stop = min(groups, start + step)
        means[start:stop] = pairs[rng.integers(len(pairs), size=(stop - start, size))].mean(axis=1)
    low, high = np.quantile(means, (alpha / 2, 1 - alpha / 2))
    spread = float(np.diag(cross).std(ddof=1))
    return {
        "mean": float(pairs.mean()),
        "low": float(low),
        "high": float(high),
        "spread": spread,
        "theory": 2 * spread / float(np.sqrt(np.pi)),
        "n": n,
        "pairs": n * (n - 1) // 2,
        "reason": None,
    }
