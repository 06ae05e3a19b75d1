"""Named random streams: every draw is a function of (study seed, purpose, indices), never of what ran before.

The purposes in use are `init`, `order`, `augmentation`, `jitter`, `dropout`, `subset`, `speed` and `synthetic`. As no
stream depends on the model, two models of one trial see the same images in the same order with the same crops (a paired
design), and as no generator state is carried from one epoch to the next, a resumed run needs none.
"""

import hashlib

import numpy as np


def seed(study_seed: int, purpose: str, *indices: int | str) -> int:
    """Return a seed in [0, 2**63) for `(study_seed, purpose, *indices)`; equal arguments give equal seeds everywhere.

    The indices keep their type: `1` and `"1"` are different streams. Seed 0 is a seed like any other.
    """
    key = repr((int(study_seed), purpose, *indices)).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1


def stream(study_seed: int, purpose: str, *indices: int | str) -> np.random.Generator:
    """Return a fresh NumPy generator (PCG64) for `(study_seed, purpose, *indices)`."""
    return np.random.default_rng(seed(study_seed, purpose, *indices))
