"""Layers that draw random numbers in training, from a generator that they are given and never from the global one."""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Elementwise inverted dropout at rate `p`: any shape -> the same shape; the identity in eval mode or for p = 0.

    `generator` is set by the training engine and lives on the device of the activations; training without one raises
    RuntimeError.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if self.generator is None:
            raise RuntimeError("Dropout has no generator: the training engine must set it before the first step")
        keep = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator)
        return x * keep.div_(1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def give_generator(network: nn.Module, generator: torch.Generator) -> None:
    """Let every layer of `network` that draws (`Dropout`, FractalNet's drop-path) draw from `generator`."""
    for module in network.modules():
        if hasattr(module, "generator"):
            module.generator = generator  # type: ignore[assignment]
