"""What a network needs at least: bytes and operations of one step, from its layers alone.

The floor's rule: every activation is written once and read once on the way forward, read once more on the way back,
and its gradient is written once and read once; two bytes a value (bfloat16). An activation is the output of a
convolution or of the last linear layer. Normalisation, nonlinearity, pooling, addition, concatenation and the cast are
taken to happen inside the convolutions that write and read these, so they move nothing. The image batch counts as an
activation without a gradient. Every parameter moves 24 bytes a step: weight, gradient and momentum in float32, each
read and written. Evaluation writes and reads every activation once. Matrix work is 2 operations for each
multiply-accumulate (`networks/cost.py`), three times in training (output, gradient of the input, gradient of the
weight), all at the matrix units' rate. No step can be faster than the larger of the two times on such a plan; one that
does not overlap them takes their sum.
"""

from dataclasses import dataclass
from typing import Any

import torch

from hybridsep.bench.traffic import meta_like, product_outputs
from hybridsep.networks.cost import cost_of
from hybridsep.train import build

_BYTES = 2  # of a bfloat16 value
_PARAMETER_BYTES = 24


@dataclass(frozen=True)
class Need:
    """Of one image: values of `activations` and of the `images`, `macs`; and the network's `params`."""

    activations: int
    images: int
    macs: int
    params: int

    def training_bytes(self, batch: int) -> int:
        """Bytes of one training step."""
        return batch * _BYTES * (5 * self.activations + 3 * self.images) + _PARAMETER_BYTES * self.params

    def training_flops(self, batch: int) -> int:
        """Operations of one training step."""
        return 6 * self.macs * batch

    def evaluation_bytes(self, batch: int) -> int:
        """Bytes of evaluating one batch."""
        return batch * _BYTES * 2 * (self.activations + self.images) + 4 * self.params

    def evaluation_flops(self, batch: int) -> int:
        """Operations of evaluating one batch."""
        return 2 * self.macs * batch


def of(config: dict[str, Any], *, classes: int, height: int) -> Need:
    """Return the needs of the network of a plain configuration, for images of `height` pixels before the crop."""
    side = config["augmentation"]["crop"] or height
    # On "meta" only shapes are computed: nothing is allocated and nothing runs.
    with torch.device("meta"), torch.no_grad():
        network = build.network_factory(config, classes=classes)().eval()
        outputs = product_outputs(lambda: network(meta_like(1, side)))
    cost = cost_of(network, side, side)
    return Need(sum(outputs), 3 * side * side, cost.macs, cost.params)
