"""The baseline network of Figure 4: darknet's `cifar.cfg` stack, with a slot for the module under test."""

import torch.nn.functional as F
from torch import Tensor, nn

from hybridsep.errors import ConfigError
from hybridsep.modules import cost
from hybridsep.modules.cost import Cost
from hybridsep.modules.layers import ConvNormAct, activation
from hybridsep.networks.factory import ModuleFactory
from hybridsep.networks.stochastic import Dropout


def stack_cost(
    module: ModuleFactory,
    *,
    in_chs: int,
    classes: int,
    widths: tuple[int, ...],
    depth: int,
    stem_stride: int,
    height: int,
    width: int,
) -> Cost:
    """Return the cost of a `Stack` for images of `height` x `width` pixels, without building it.

    Activation, dropout and residual connections have neither parameters nor MACs. Raises ConfigError when the image
    is too small for the poolings between the stages.
    """
    height, width = -(-height // stem_stride), -(-width // stem_stride)
    if min(height, width) >> (len(widths) - 1) < 1:
        raise ConfigError(
            f"size.widths: {len(widths)} stages halve {height}x{width} images to nothing; allowed: fewer stages"
        )
    total = cost.conv_norm(in_chs, widths[0], 3, height, width)
    before = widths[0]
    for stage, chs in enumerate(widths):
        h, w = height >> stage, width >> stage
        for _ in range(depth):
            total += module.cost(before, chs, h, w) + cost.norm(chs)
            before = chs
    return total + cost.linear(before, classes)


class Layer(nn.Module):
    """One layer of the stack, module - BatchNorm - activation: (N, in_chs, H, W) -> (N, out_chs, H, W).

    `residual` adds the layer's input before the activation where the widths are equal, and changes nothing elsewhere.
    """

    def __init__(self, module: ModuleFactory, in_chs: int, out_chs: int, *, act_layer: str, residual: bool):
        super().__init__()
        self.module = module(in_chs, out_chs)
        self.norm = nn.BatchNorm2d(out_chs)
        self.act = activation(act_layer, key="model.network.act_layer")
        self.residual = residual and in_chs == out_chs

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.module(x))
        return self.act(y + x if self.residual else y)


class Stack(nn.Module):
    """The network with a slot: images (N, in_chs, H, W) -> logits (N, classes).

    A 3x3 stem to widths[0] (at `stem_stride` 2 it halves the image, for small machines); one stage per width, each of
    `depth` layers (`Layer`); 2x2 max-pooling between stages; dropout after every pooling and before the head, where
    `cifar.cfg` has it; global average pooling; a linear head. Layer j of stage i is `stages.i.j`, whatever the module.
    Raises ConfigError for a value out of range.
    """

    def __init__(
        self,
        module: ModuleFactory,
        *,
        in_chs: int,
        classes: int,
        widths: tuple[int, ...],
        depth: int,
        act_layer: str,
        dropout: float,
        residual: bool,
        stem_stride: int,
    ):
        super().__init__()
        if not widths or min(widths) < 1:
            raise ConfigError(f"size.widths: {list(widths)} is not allowed; a list of whole numbers from 1 is")
        if depth < 1:
            raise ConfigError(f"size.depth: {depth} is not allowed; a whole number from 1 is")
        if not 0 <= dropout < 1:
            raise ConfigError(f"size.dropout: {dropout} is not allowed; a number from 0 to below 1 is")
        if stem_stride not in (1, 2):
            raise ConfigError(f"size.stem_stride: {stem_stride} is not allowed; 1 or 2 is")
        self._shape = {"in_chs": in_chs, "classes": classes, "widths": tuple(widths), "depth": depth}
        self._shape["stem_stride"] = stem_stride
        self._slot = module
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
        x = self.stem(x)
        for index, stage in enumerate(self.stages):
            if index > 0:
                x = self.dropout(F.max_pool2d(x, 2))
            x = stage(x)
        return self.head(self.dropout(x).mean(dim=(2, 3)))

    def cost(self, height: int, width: int) -> Cost:
        """Return parameters, and MACs for one image of `height` x `width` pixels."""
        return stack_cost(self._slot, **self._shape, height=height, width=width)
