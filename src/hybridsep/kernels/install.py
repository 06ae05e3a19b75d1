"""Put the Triton kernel into a network that is already built."""

import torch
from torch import Tensor, nn

from hybridsep.errors import ConfigError
from hybridsep.kernels.depthwise import depthwise_conv3x3, interpreted, programs


class TritonDepthwise(nn.Conv2d):
    """A depthwise 3x3 convolution, stride 1, padding 1, no bias, carried out by `depthwise_conv3x3`."""

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_conv3x3(x, self.weight)


def install(network: nn.Module) -> int:
    """Let every depthwise 3x3 `nn.Conv2d` of `network` (stride 1, padding 1, no bias) run in Triton; return how many.

    Parameters, their names and order, `state_dict`, hooks and mode stay as they are. Other convolutions are left alone.
    Raises ConfigError when a parameter is not on a CUDA device or where Triton is not installed.
    """
    elsewhere = {parameter.device.type for parameter in network.parameters()} - {"cuda"}
    programs()
    if elsewhere and not (elsewhere == {"cpu"} and interpreted()):
        raise ConfigError(
            f"kernels=triton needs device=cuda, not {', '.join(sorted(elsewhere))}; kernels=library runs everywhere"
        )
    found = [module for module in network.modules() if _eligible(module)]
    for module in found:
        # The instance changes its class, instead of a new one taking its place: a module that stands in two places
        # stays one module, and nothing that refers to it has to be found.
        module.__class__ = TritonDepthwise
    return len(found)


def _eligible(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.groups == module.in_channels == module.out_channels
        and module.kernel_size == (3, 3)
        and module.stride == (1, 1)
        and module.padding in ((1, 1), "same")
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and module.bias is None
        and module.weight.dtype in (torch.float32, torch.bfloat16)
    )
