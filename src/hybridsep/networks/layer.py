"""The layer that every network is made of: the module under test with what stands around it."""

import torch
from torch import Tensor, nn

from hybridsep.modules.fast import TwoWays, norm_act
from hybridsep.modules.layers import Activation, activation
from hybridsep.networks.factory import ModuleFactory
from hybridsep.networks.stochastic import Dropout


class Layer(TwoWays):
    """Module - dropout - BatchNorm - activation: (N, in_chs, H, W) -> (N, out_chs, H, W).

    `residual` adds the layer's input before the activation where the widths are equal, and changes nothing elsewhere.
    `fast`: on a GPU BatchNorm and ReLU are one compiled function where nothing is added in between.
    """

    def __init__(
        self,
        module: ModuleFactory,
        in_chs: int,
        out_chs: int,
        *,
        act_layer: Activation,
        residual: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.module = module(in_chs, out_chs)
        self.dropout = Dropout(dropout)
        self.norm = nn.BatchNorm2d(out_chs)
        self.act = activation(act_layer)
        self.residual = residual and in_chs == out_chs

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(self.module(x))
        if self.residual:
            return self.act(self.norm(y) + x)
        return norm_act(self.norm, self.act, y, fast=self.fast)

    def gains(self, device: torch.device) -> bool:
        return device.type == "cuda" and isinstance(self.act, nn.ReLU) and not self.residual
