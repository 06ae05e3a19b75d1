"""FractalNet (Larsson et al. 2016, arXiv 1605.07648), the network of the paper's Figure 5: every 3x3 is the module.

Where the numbers of the CIFAR network come from (5 blocks, 3 columns, widths 64-128-256-512-512):
- A block f_C follows the paper's expansion rule f_{C+1}(z) = join(f_C(f_C(z)), conv(z)), with neighbouring joins
  collapsed into one that spans several columns (section 2). Its column c has 2^c convolutions, 2^C - 1 in all: 7 a
  block, 35 in the network.
- Depth: the deepest column has 2^(C-1) convolutions, 4 a block, 20 in the network ("20 layers"; some tables count the
  linear head and say 21).
- Joins: one wherever two or more columns end together, 2^(C-2) a block: 2, so 10 in the network (of two and of three
  paths by turns). The rule written out without collapsing has 2^(C-1) - 1 = 3 a block.
- Parameters with dense convolutions: 9 * (C * in * out + (2^C - 1 - C) * out^2) a block, 33,698,880 in all; BatchNorm's
  scale and shift 2 * 7 * (64 + 128 + 256 + 512 + 512) = 20,608; head 512 * 10 + 10 = 5,130. Together 33,724,618,
  which is the count that pytorchcv states for its `fractalnet_cifar10`; the difference is zero. The paper gives none.

With the same weights the network is pytorchcv's in evaluation. Training differs from it where the paper or the
authors' published Caffe network does: drop-path is drawn per batch, not per image, and dropout is elementwise and
stands between convolution and BatchNorm. Two departures from that Caffe network: it pools every column before a
block's last join (here the pooling follows the block), and its convolutions have biases, which BatchNorm undoes.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, cast

import torch
import torch.nn.functional as F
from annotated_types import Ge, Interval, MinLen
from torch import Tensor, nn

from hybridsep.errors import ConfigError
from hybridsep.networks.factory import ModuleFactory
from hybridsep.networks.layer import Layer

Rate = Annotated[float, Interval(ge=0, lt=1)]


def ending_columns(row: int, columns: int) -> range:
    """Return the columns that have a convolution ending in `row` (from 1 to 2^(columns - 1)) of a block.

    Column c has 2^c convolutions, each 2^(columns - 1 - c) rows high; the deepest column ends in every row.
    """
    halvings = (row & -row).bit_length() - 1
    return range(columns - 1 - halvings, columns)


def block_joins(columns: int) -> list[range]:
    """Return the columns that each join of a block merges, from the first row to the last."""
    rows = (ending_columns(row, columns) for row in range(1, 2 ** (columns - 1) + 1))
    return [ending for ending in rows if len(ending) > 1]


class DropPath(nn.Module):
    """Draws which paths every join of the network lets through (section 3): -> weights (blocks * joins, columns).

    A row is a join; its weights are equal for the paths let through, zero for the others, and add up to 1. One draw
    serves a whole batch. With probability `global_share` it is global: one column, the same in every join. (A join that
    this column does not reach has no say in the result; it takes the mean of its paths, so that BatchNorm behind it
    sees real inputs.) Otherwise it is local: each path is dropped with probability `rate`, and where none is left, one
    comes back at random.

    `generator` is set by the training engine and lives on the weights' device; drawing without one raises
    RuntimeError. Nothing is read back to the host, so a draw can be captured in a CUDA graph.
    """

    present: Tensor

    def __init__(self, *, blocks: int, columns: int, rate: float, global_share: float):
        super().__init__()
        self.rate, self.global_share = rate, global_share
        self.generator: torch.Generator | None = None
        rows = [[column in merged for column in range(columns)] for merged in block_joins(columns)] * blocks
        present = torch.tensor(rows, dtype=torch.bool).reshape(-1, columns)
        self.register_buffer("present", present, persistent=False)

    def forward(self, dtype: torch.dtype) -> Tensor:
        """Return the weights of one batch; the same draw, whatever the `dtype`."""
        if self.generator is None:
            raise RuntimeError("DropPath has no generator: the training engine must set it before the first step")
        joins, columns = self.present.shape
        noise = torch.rand(2, joins, columns, device=self.present.device, generator=self.generator)
        local = (noise[0] >= self.rate) & self.present
        local = torch.where(local.any(1, keepdim=True), local, self._only((noise[1] * self.present).argmax(1)))
        # One uniform number for the column, one for local or global.
        which = torch.rand(2, device=self.present.device, generator=self.generator)
        alone = self._only((which[0] * columns).long().clamp(max=columns - 1)) & self.present
        alone = torch.where(alone.any(1, keepdim=True), alone, self.present)
        passed = torch.where(which[1] < self.global_share, alone, local).to(dtype)
        return passed / passed.sum(1, keepdim=True)

    def _only(self, column: Tensor) -> Tensor:
        return torch.arange(self.present.shape[1], device=column.device) == column.unsqueeze(-1)

    def extra_repr(self) -> str:
        return f"rate={self.rate}, global_share={self.global_share}"


class Block(nn.Module):
    """A fractal of `columns` columns: (N, in_chs, H, W) -> (N, out_chs, H, W); layer i of column c is `columns.c.i`."""

    def __init__(self, module: ModuleFactory, in_chs: int, out_chs: int, *, columns: int, dropout: float):
        super().__init__()
        self.columns = nn.ModuleList(
            nn.ModuleList(
                Layer(module, out_chs if index else in_chs, out_chs, act_layer="relu", dropout=dropout)
                for index in range(2**c)
            )
            for c in range(columns)
        )

    def forward(self, x: Tensor, weights: Tensor | None) -> Tensor:
        """Joins take the mean of their paths, or weigh them with their row of `weights` (joins, columns)."""
        columns = [cast(nn.ModuleList, column) for column in self.columns]
        count, rows = len(columns), len(columns[-1])
        inputs, join = [x] * count, 0
        for row in range(1, rows + 1):
            ending = ending_columns(row, count)
            paths = [columns[c][row * 2**c // rows - 1](inputs[c]) for c in ending]
            joined = paths[0]
            if len(paths) > 1:
                if weights is not None:
                    paths = [path * weights[join, c] for path, c in zip(paths, ending, strict=True)]
                joined = sum(paths[1:], start=paths[0])
                joined = joined / len(paths) if weights is None else joined
                join += 1
            inputs[ending.start :] = [joined] * len(ending)
        return inputs[-1]

    def deepest(self, x: Tensor) -> Tensor:
        """Run the deepest column alone."""
        for layer in cast(nn.ModuleList, self.columns[-1]):
            x = layer(x)
        return x


class FractalNet(nn.Module):
    """Every 3x3 convolution is the module: images (N, in_chs, H, W) -> logits (N, classes).

    One fractal block per width, each followed by 2x2 max-pooling; global average pooling (32x32 images are down to one
    pixel after five blocks); a linear head. `dropout` gives a rate per block. In training, `drop_path` is the rate of
    local drop-path and `global_share` the share of batches with global drop-path. In evaluation the joins take the
    mean of all columns (`evaluation_column="all"`), or the deepest column answers alone ("deepest").
    Raises ConfigError for another number of rates, and when called, for images too small for the poolings.
    """

    def __init__(
        self,
        module: ModuleFactory,
        *,
        in_chs: int = 3,
        classes: int = 10,
        widths: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)] = (64, 128, 256, 512, 512),
        columns: Annotated[int, Interval(ge=1, le=8)] = 3,
        dropout: tuple[Rate, ...] = (0.0, 0.1, 0.2, 0.3, 0.4),
        drop_path: Rate = 0.15,
        global_share: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        evaluation_column: Literal["all", "deepest"] = "all",
    ):
        super().__init__()
        if len(dropout) != len(widths):
            raise ConfigError(
                f"model.network.dropout={list(dropout)} is not allowed: a list of {len(widths)}, a rate for each block"
            )
        self.evaluation_column = evaluation_column
        self.blocks = nn.ModuleList(
            Block(module, before, after, columns=columns, dropout=rate)
            for before, after, rate in zip((in_chs, *widths), widths, dropout, strict=False)
        )
        self.drop_path = DropPath(blocks=len(widths), columns=columns, rate=drop_path, global_share=global_share)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if min(height, width) >> len(self.blocks) < 1:
            raise ConfigError(
                f"model.network.widths: {len(self.blocks)} blocks halve {height}x{width} images to nothing; "
                "allowed: fewer blocks"
            )
        weights: Sequence[Tensor | None] = [None] * len(self.blocks)
        if self.training and len(self.drop_path.present):
            # As scalars, float32 weights leave bfloat16 paths in bfloat16.
            drawn = self.drop_path(torch.float64 if x.dtype == torch.float64 else torch.float32)
            weights = drawn.chunk(len(self.blocks))
        for block, rows in zip(cast(Iterable[Block], self.blocks), weights, strict=True):
            alone = self.evaluation_column == "deepest" and not self.training
            x = F.max_pool2d(block.deepest(x) if alone else block(x, rows), 2)
        return self.head(x.mean(dim=(2, 3)))
