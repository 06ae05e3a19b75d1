"""The baseline network of Figure 4: darknet's `cifar.cfg` stack, built of the module under test."""

from typing import Annotated, Literal

import torch.nn.functional as F
from annotated_types import Ge, Interval, MinLen
from torch import Tensor, nn

from hybridsep.errors import ConfigError
from hybridsep.modules.layers import Activation, ConvNormAct
from hybridsep.networks.factory import ModuleFactory
from hybridsep.networks.layer import Layer
from hybridsep.networks.stochastic import Dropout


class Stack(nn.Module):
    """Images (N, in_chs, H, W) -> logits (N, classes).

    A 3x3 stem to widths[0] (at `stem_stride` 2 it halves the image, for small machines); one stage per width, each of
    `depth` layers (`Layer`); 2x2 max-pooling between stages; dropout after every pooling and before the head, where
    `cifar.cfg` has it; global average pooling; a linear head. Layer j of stage i is `stages.i.j`, whatever the module.
    Raises ConfigError when called, for images too small for the poolings.
    """

    def __init__(
        self,
        module: ModuleFactory,
        *,
        in_chs: int = 3,
        classes: int = 10,
        widths: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)] = (128, 256, 512),
        depth: Annotated[int, Ge(1)] = 3,
        act_layer: Activation = "relu",
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
        residual: bool = False,
        stem_stride: Literal[1, 2] = 1,
    ):
        super().__init__()
        self.stem = ConvNormAct(in_chs, widths[0], 3, stride=stem_stride, act_layer=act_layer)
        stages = []
        before = widths[0]
        for chs in widths:
            layers = []
            for _ in range(depth):
                layers.append(Layer(module, before, chs, act_layer=act_layer, residual=residual))
                before = chs
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = self.stem(x)
        if min(x.shape[2:]) >> (len(self.stages) - 1) < 1:
            raise ConfigError(
                f"size.widths: {len(self.stages)} stages halve {height}x{width} images to nothing; "
                "allowed: fewer stages"
            )
        for index, stage in enumerate(self.stages):
            if index > 0:
                x = self.dropout(F.max_pool2d(x, 2))
            x = stage(x)
        return self.head(self.dropout(x).mean(dim=(2, 3)))
