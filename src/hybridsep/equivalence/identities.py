"""The identities of section 3, in the order of the table, and two that must not hold.

One side is the project's module wherever there is one; the other is written out with plain convolutions, so that
nothing is compared with itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hybridsep.equivalence import inception, resnext, separable
from hybridsep.equivalence.forms import Channels, Form


@dataclass(frozen=True)
class Identity:
    """A line of the table. `source` is where the paper, or a paper it builds on, has it."""

    name: str
    source: str
    form: Callable[[Channels], Form]
    holds: bool = True


IDENTITIES = (
    Identity("depthwise = grouped, groups = channels", "section 3", separable.depthwise),
    Identity("grouped = dense with a block-diagonal kernel", "section 3", separable.grouped),
    Identity("separable = sum of one tower per channel", "section 3; ResNeXt Figure 3(a)", separable.as_towers),
    Identity("separable = one dense 3x3, composed kernel", "section 3", separable.as_dense),
    Identity("separable = the row separable_equivalent", "Figure 4", separable.as_row),
    Identity("separable = hybrid, leading 1x1 the identity", "Figure 4", separable.as_hybrid),
    Identity(
        "hybrid = ResNeXt (a), cardinality = channels", "Figure 4; ResNeXt Figure 3(a)", separable.hybrid_as_towers
    ),
    Identity("simplified Inception = reformulated", "Xception Figures 2, 3", inception.simplified),
    Identity(
        "simplified = reformulated, BatchNorm + ReLU",
        "Xception Figures 2, 3",
        partial(inception.simplified, norm_act=True),
    ),
    Identity("extreme Inception = segments of one channel", "Xception Figure 4", inception.extreme),
    Identity("1x1 after average pooling = before it", "Inception-v3 Figure 5", inception.pool_last),
    Identity("Inception tower by tower = the row inception", "Inception-v3 Figure 5", inception.tower_by_tower),
    Identity("ResNeXt (c) = (a): grouped = summed towers", "ResNeXt Figure 3", resnext.as_towers),
    Identity("ResNeXt (c) = (b): grouped = concatenated", "ResNeXt Figure 3", resnext.as_concatenated),
    Identity("ResNeXt, cardinality 1 = plain bottleneck", "ResNeXt section 3", resnext.bottleneck),
    Identity("separable with ReLU between = any dense 3x3", "section 4", separable.with_relu, holds=False),
    Identity("canonical Inception = any grouped form", "section 3", inception.canonical, holds=False),
)
