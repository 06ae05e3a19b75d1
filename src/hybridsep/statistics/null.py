"""How probable a small mean difference is for two networks that differ in chance only.

Two such networks are wrong on different images of a test set now and then. With D the share of images on which exactly
one of the two is right, the difference of their errors on n images is a sum of n independent draws: +1 and -1 with
probability D/2 each, else 0. So its distribution is that of a multinomial count, exact by FFT; the mean over trials
follows by convolution. Nothing here is an approximation of the normal kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

_WIDTH = 12  # standard deviations that a grid holds on either side; what lies beyond is below 1e-30


@dataclass(frozen=True)
class Discordance:
    """How often two runs of one network part: `error`, and `share` D of images on which exactly one of them is right.

    Shares of one. `relative` is D over 2 p (1 - p), what runs that err independently of each other would have: 0 where
    seeds change nothing, 1 where they change everything that they can.
    """

    error: float
    share: float
    relative: float
    pairs: int


@dataclass(frozen=True)
class NullProbability:
    """Probability that mean |d| over trials, and |mean d|, are at most the limit."""

    mean_absolute: float
    absolute_mean: float


def discordance(wrong: np.ndarray) -> Discordance | None:
    """Return how often two of the runs part, over all pairs; `wrong` (runs, images) bool. None below two runs."""
    runs, images = wrong.shape
    if runs < 2:
        return None
    times = wrong.sum(axis=0, dtype=np.int64)
    share = float(2 * (times * (runs - times)).sum()) / (runs * (runs - 1) * images)
    error = float(wrong.mean())
    apart = 2 * error * (1 - error)
    return Discordance(error, share, share / apart if apart else 0.0, runs * (runs - 1) // 2)


def images_at_most(points: float, *, images: int, trials: int, decimals: int = 2) -> int:
    """Return the most wrong images in `trials` x `images` whose mean is still printed as `points`.

    0.08 with two decimals is anything up to 0.085 points: 51 of 60,000 images.
    """
    return int(np.floor((points + 0.5 * 10.0**-decimals) / 100 * images * trials + 1e-6))


def probability(share: float, *, images: int, trials: int, limit: int) -> NullProbability:
    """Return how probable a mean over `trials` of `images` each is at most `limit` images in all.

    `share` is D of the two networks on the images that they are judged on: between two of its own seeds on the same
    images, 2 p (1 - p) where each is judged on images of its own.
    """
    return NullProbability(
        mean_absolute=_all_within(_folded(share, images), trials, limit),
        absolute_mean=float(_folded(share, images * trials)[: limit + 1].sum()),
    )


def both(share: float, *, images: int, trials: int, limits: tuple[int, int]) -> float:
    """Return the probability that two rows have mean |d| within their limits against one baseline, both at once.

    Two rows share their baseline: where the baseline alone parts from both, both differ. For three networks that part
    from each other on a share D, every image is one of: all agree (1 - 1.5 D), or one of the three parts (D/2 each).
    """
    size = _grid(share, images)
    one = np.zeros((size, size))
    one[0, 0] = 1 - 1.5 * share
    for sign in (1, -1):
        one[sign, sign] = one[sign, 0] = one[0, sign] = share / 4
    joint = np.fft.irfft2(np.fft.rfft2(one) ** images, s=(size, size))
    half = size // 2
    folded = joint[:half, :half].copy()
    folded[1:, :] += joint[:half:-1, :half]
    folded[:, 1:] += joint[:half, :half:-1]
    folded[1:, 1:] += joint[:half:-1, :half:-1]
    from scipy.signal import fftconvolve

    first, second = (min(limit + 1, half) for limit in limits)
    single = np.clip(folded[:first, :second], 0, None)
    total = single
    for _ in range(trials - 1):
        total = fftconvolve(total, single)[: limits[0] + 1, : limits[1] + 1]
    return float(total.sum())


def _grid(share: float, images: int) -> int:
    """A power of two that holds the sum of so many draws."""
    reach = min(images, int(_WIDTH * np.sqrt(share * images)) + 16)
    return 1 << int(np.ceil(np.log2(2 * reach + 2)))


@cache
def _folded(share: float, images: int) -> np.ndarray:
    """Probabilities of |d| = 0, 1, 2 ... wrong images."""
    size = _grid(share, images)
    one = np.zeros(size)
    one[0], one[1], one[-1] = 1 - share, share / 2, share / 2
    total = np.clip(np.fft.irfft(np.fft.rfft(one) ** images, size), 0, None)
    folded = total[: size // 2].copy()
    folded[1:] += total[: size // 2 : -1]
    return folded


def _all_within(single: Sequence[float] | np.ndarray, trials: int, limit: int) -> float:
    """Probability that the sum of so many independent counts is at most `limit`."""
    cut = np.asarray(single)[: limit + 1]
    total = np.ones(1)
    for _ in range(trials):
        total = np.convolve(total, cut)[: limit + 1]
    return float(total.sum())
