"""The noise floor: how large a mean absolute difference is when nothing differs but the seed."""

from dataclasses import dataclass

import numpy as np

from hybridsep.statistics.difference import Reason

# Below these the floor has no range, and no row is said to lie outside it: it would come from next to nothing.
MIN_TRIALS, MIN_PAIRS = 5, 10


@dataclass(frozen=True)
class NoiseFloor:
    """Mean |difference| over all pairs of trials of one network, in points.

    `low` and `high` hold the mean |difference| of 1 - alpha of rows of `size` trials that differ in nothing, if errors
    are normal (see `relative_range`); None where trials or pairs are too few for a range. `spread` is the standard
    deviation over trials, `theory` 2 s / sqrt(pi), E|X - Y| of two independent normal variables of that spread; it
    refers to trials that are judged each on its own images.
    """

    n: int
    pairs: int
    size: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    theory: float | None = None
    reason: Reason | None = None

    @property
    def too_few(self) -> bool:
        """Whether there are too few trials for a range."""
        return self.high is None


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
) -> NoiseFloor:
    """Return the noise floor of one network, with the range for a row of `size` trials that differs in nothing.

    `cross` as in `pair_differences`; `groups` studies are simulated for the range.
    """
    n = len(cross)
    if n < 2:
        return NoiseFloor(n, 0, size, reason=Reason.NO_TRIALS if n == 0 else Reason.ONE_OF_BASELINE)
    mean = float(pair_differences(cross, same_images=same_images).mean())
    pairs, low, high = n * (n - 1) // 2, None, None
    if n >= MIN_TRIALS and pairs >= MIN_PAIRS:
        relative = relative_range(n, size, paired=same_images, draws=groups, alpha=alpha, rng=rng)
        low, high = mean * relative[0], mean * relative[1]
    spread = float(np.diag(cross).std(ddof=1))
    return NoiseFloor(n, pairs, size, mean, low, high, spread, 2 * spread / float(np.sqrt(np.pi)))


def relative_range(
    trials: int, size: int, *, paired: bool, draws: int, alpha: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Return what holds 1 - `alpha` of (mean |row - baseline|) / (mean |difference of two baseline trials|).

    Of `draws` simulated studies in which `size` trials of a row and `trials` of the baseline are normal with the same
    mean and spread. The ratio does not depend on the spread, so this counts, as a t interval does, that the floor is
    itself an estimate, and that row and floor have the baseline's trials in common. `paired`: trial t against trial t;
    otherwise every trial against all unlike ones.
    """
    size = min(size, trials) if paired else size
    ratios = np.empty(draws)
    # In portions, because draws x trials numbers need not fit in memory.
    step = max(1, 2_000_000 // (trials + size))
    for start in range(0, draws, step):
        stop = min(draws, start + step)
        row, baseline = rng.standard_normal((stop - start, size)), rng.standard_normal((stop - start, trials))
        like = min(size, trials)
        apart = np.abs(row[:, :like] - baseline[:, :like]).sum(axis=1)
        count = like
        within = _pair_sum(baseline)
        if not paired:
            both = _pair_sum(np.concatenate([row, baseline], axis=1))
            apart = both - _pair_sum(row) - within - apart
            count = size * trials - like
        ratios[start:stop] = (apart / count) / (within / (trials * (trials - 1) / 2))
    low, high = np.quantile(ratios, (alpha / 2, 1 - alpha / 2))
    return float(low), float(high)


def _pair_sum(values: np.ndarray) -> np.ndarray:
    """Sum of |a - b| over the unordered pairs of each line: from its sorted values, as in Gini's mean difference."""
    n = values.shape[1]
    return np.sort(values, axis=1) @ (2.0 * np.arange(n) - (n - 1))
