"""How the kernels cut their work, as functions of the shape alone.

Nothing is timed and nothing depends on the machine: the order of every sum follows from these numbers, so that two
runs of a trial add in the same order.
"""

import math
from typing import NamedTuple

# Depthwise: a tile holds four values a thread, in at most eight warps: loads of 8 bytes (bfloat16) or 16 (float32), and
# the nine taps take 36 registers. At eight values a thread they take 72 and the compiler needs 136 registers instead of
# 64, so that a multiprocessor of sm_90 holds 12 warps instead of 32 (compiled with Triton 3.7.1).
_TILE = 1024
_VALUES_PER_WARP = 4 * 32
# 64 channels of bfloat16 are one 128-byte line.
CHANNELS = 64
# Each input row is loaded (rows + 2) / rows times; above eight rows little is won, and the programs become few.
_ROWS = 8
# Programs of a sum: two for each place on 132 multiprocessors that hold two of them at once, a little less.
PROGRAMS = 512
# Normalisation: a tile of 32 x 64 values is eight a thread in eight warps, loads of 16 bytes in either number format;
# a chunk is four tiles, whose loads are all on the way at once.
TILE_ROWS, TILES = 32, 4
# Partial sums of a channel that one program adds up.
_PARTS = 1024


class Blocks(NamedTuple):
    """A tile of `columns` x `channels` values (powers of two) that walks down `rows` rows, in `warps` warps."""

    rows: int
    columns: int
    channels: int
    warps: int


class Slabs(NamedTuple):
    """Gradient of the weight: `tasks` (strips of rows x columns) a block of channels, `each` a slab, `slabs` slabs."""

    tasks: int
    each: int
    slabs: int


class View(NamedTuple):
    """Normalisation: pixels x channels seen as `rows` x `width`, with `fold` pixels side by side in a row.

    A slab is `each` chunks of `TILE_ROWS * TILES` rows; there are `slabs` of them, and `chunks` chunks. `even`: tiles
    of CHANNELS columns fill rows and width with nothing left over.
    """

    fold: int
    rows: int
    width: int
    chunks: int
    each: int
    slabs: int
    even: bool


def power_of_two(number: int) -> int:
    """Return the smallest power of two that is not below `number` (1 or more)."""
    return 1 << (number - 1).bit_length()


def choose(height: int, width: int, chs: int) -> Blocks:
    """Return the tile for images of `height` x `width` pixels and `chs` channels."""
    channels = 32 if chs % 64 == 32 else min(CHANNELS, power_of_two(chs))
    columns = min(power_of_two(width), _TILE // channels)
    # Strips of equal height, as far as that goes: 28 rows are 4 x 7, not 3 x 8 and 4.
    rows = -(-height // -(-height // _ROWS))
    return Blocks(rows, columns, channels, max(1, columns * channels // _VALUES_PER_WARP))


def cut(images: int, height: int, width: int, chs: int, blocks: Blocks) -> Slabs:
    """Return how the sums of the weight's gradient are cut into slabs, so that there are about PROGRAMS programs."""
    tasks = images * -(-height // blocks.rows) * -(-width // blocks.columns)
    wanted = max(1, PROGRAMS // -(-chs // blocks.channels))
    each = -(-tasks // wanted)
    return Slabs(tasks, each, -(-tasks // each))


def view(pixels: int, chs: int) -> View:
    """Return how `pixels` (images * height * width) of `chs` channels are cut to be normalised.

    Folded, 24 channels are as easy to load as 64: channels are innermost and rows are dense, so 8 pixels of 24 channels
    are 192 columns, three tiles, and column c belongs to channel c % 24.
    """
    fold = math.gcd(pixels, CHANNELS // math.gcd(chs, CHANNELS))
    rows, width, chunk = pixels // fold, chs * fold, TILE_ROWS * TILES
    chunks = -(-rows // chunk)
    wanted = max(1, min(PROGRAMS // -(-width // CHANNELS), _PARTS // fold))
    each = -(-chunks // wanted)
    even = rows % chunk == 0 and width % CHANNELS == 0
    return View(fold, rows, width, chunks, each, -(-chunks // each), even)
