"""The CIFAR-10 network of Redmon's darknet, the paper's Figure 6: every 3x3 but the stem is the module.

The paper does not say which of darknet's networks it used, so there are two: `cfg/cifar.cfg`, made for CIFAR-10, and
`cfg/darknet.cfg`, the reference model that the author's QuickNet started from.
"""

from typing import Annotated, Literal, NamedTuple

import torch.nn.functional as F
from annotated_types import Gt, Interval
from torch import Tensor, nn

from hybridsep.modules.layers import Activation, ConvNormAct, activation
from hybridsep.networks.factory import ModuleFactory
from hybridsep.networks.layer import Layer
from hybridsep.networks.stochastic import Dropout


class Variant(NamedTuple):
    """`stages`: widths of the 3x3 convolutions, with 2x2 max-pooling between stages.

    `dropout`: whether the original has any (after every pooling and before the last convolution).
    """

    stages: tuple[tuple[int, ...], ...]
    dropout: bool


VARIANTS = {
    "cifar": Variant(((128,) * 3, (256,) * 3, (512,) * 3), dropout=True),
    # The original pools a sixth time, after 512 channels, which does not fit 32x32 images.
    "reference": Variant(((16,), (32,), (64,), (128,), (256,), (512, 1024)), dropout=False),
}


class DarkNet(nn.Module):
    """Images (N, in_chs, H, W) -> logits (N, classes), of 28x28, 32x32 or other pixels.

    3x3 convolutions with BatchNorm and `act_layer`, the first of them the stem, dense in every row; 2x2 max-pooling
    between stages, odd sizes rounded up; a 1x1 convolution with bias to the classes; `head_act_layer` (the original's
    files have the leaky ReLU here too); global average pooling. `variant` is "cifar" or "reference". `width_ratio`
    scales all widths (1.0: the original's). `dropout` acts where the variant has any; "reference" has none.
    Layer j of stage i is `stages.i.j`, the stem among them.
    """

    def __init__(
        self,
        module: ModuleFactory,
        *,
        in_chs: int = 3,
        classes: int = 10,
        variant: Literal["cifar", "reference"] = "cifar",
        width_ratio: Annotated[float, Gt(0)] = 1.0,
        act_layer: Activation = "leaky_relu",
        head_act_layer: Activation = "leaky_relu",
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.5,
    ):
        super().__init__()
        chosen = VARIANTS[variant]
        stages: list[nn.Sequential] = []
        before = in_chs
        for widths in chosen.stages:
            layers: list[nn.Module] = []
            for original in widths:
                chs = max(1, round(original * width_ratio))
                stem = not stages and not layers
                layers.append(
                    ConvNormAct(before, chs, 3, act_layer=act_layer)
                    if stem
                    else Layer(module, before, chs, act_layer=act_layer)
                )
                before = chs
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)
        self.dropout = Dropout(dropout if chosen.dropout else 0.0)
        self.head = nn.Conv2d(before, classes, 1)
        self.head_act = activation(head_act_layer)

    def forward(self, x: Tensor) -> Tensor:
        for index, stage in enumerate(self.stages):
            if index > 0:
                x = self.dropout(F.max_pool2d(x, 2, ceil_mode=True))
            x = stage(x)
        return self.head_act(self.head(self.dropout(x))).mean(dim=(2, 3))
