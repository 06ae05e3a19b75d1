"""The layer that every network is made of: the module under test with what stands around it."""

from torch import Tensor, nn

from hybridsep.modules.layers import activation
from hybridsep.networks.factory import ModuleFactory
from hybridsep.networks.stochastic import Dropout


class Layer(nn.Module):
    """Module - dropout - BatchNorm - activation: (N, in_chs, H, W) -> (N, out_chs, H, W).

    `residual` adds the layer's input before the activation where the widths are equal, and changes nothing elsewhere.
    """

    def __init__(
        self,
        module: ModuleFactory,
        in_chs: int,
        out_chs: int,
        *,
        act_layer: str,
        residual: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.module = module(in_chs, out_chs)
        self.dropout = Dropout(dropout)
        self.norm = nn.BatchNorm2d(out_chs)
        self.act = activation(act_layer, key="model.network.act_layer")
        self.residual = residual and in_chs == out_chs

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dropout(self.module(x)))
        return self.act(y + x if self.residual else y)
