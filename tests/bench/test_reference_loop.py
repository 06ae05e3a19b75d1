"""The reference loop sees what ours sees."""

import numpy as np
import torch

from hybridsep.bench.reference_loop import loader_batches
from hybridsep.data.batches import normalise

CPU = torch.device("cpu")


def test_the_reference_loop_sees_our_images():
    # Mirror images without padding: neither flip nor crop changes them, so only normalisation and order are left.
    half = np.random.default_rng(0).integers(0, 256, (10, 8, 4, 3), dtype=np.uint8)
    images = np.concatenate([half, half[:, :, ::-1]], axis=2)
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    batches = loader_batches(images, np.arange(10), CPU, batch=10, workers=0, padding=0, mean=mean, std=std)
    (first, labels), (_, again) = next(batches), next(batches)
    ours = normalise(torch.from_numpy(images), mean=torch.tensor(mean), std=torch.tensor(std))
    torch.testing.assert_close(first[labels.argsort()], ours.contiguous(), rtol=1e-5, atol=1e-5)
    assert sorted(labels.tolist()) == list(range(10)) and labels.tolist() != again.tolist()
