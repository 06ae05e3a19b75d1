"""Analytic costs: trainable parameters, and multiply-accumulates of one image's forward pass.

MACs are those of convolutions and linear layers, padding included, which is half of what torch's `FlopCounterMode`
counts. Normalisation, activations, pooling and additions are not counted.
"""

from typing import NamedTuple


class Cost(NamedTuple):
    """`params`: trainable parameters (BatchNorm's scale and shift yes, running statistics no). `macs`: per image."""

    params: int
    macs: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.params + other.params, self.macs + other.macs)


def conv(in_chs: int, out_chs: int, kernel_size: int, height: int, width: int, *, groups: int = 1) -> Cost:
    """Cost of a convolution without bias whose output is `height` x `width`."""
    weights = in_chs // groups * out_chs * kernel_size**2
    return Cost(weights, weights * height * width)


def conv_norm(in_chs: int, out_chs: int, kernel_size: int, height: int, width: int, *, groups: int = 1) -> Cost:
    """Cost of a convolution without bias, followed by BatchNorm."""
    return conv(in_chs, out_chs, kernel_size, height, width, groups=groups) + norm(out_chs)


def norm(chs: int) -> Cost:
    """Cost of BatchNorm over `chs` channels."""
    return Cost(2 * chs, 0)


def linear(in_features: int, out_features: int) -> Cost:
    """Cost of a linear layer with bias; the bias is a parameter but no MAC."""
    return Cost(in_features * out_features + out_features, in_features * out_features)
