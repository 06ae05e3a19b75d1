"""How the depthwise kernels cut their work, as functions of the shape alone.

Nothing is timed and nothing depends on the machine: the order of every sum follows from these numbers, so that two
runs of a trial add in the same order.
"""

from typing import NamedTuple

# A tile holds four values a thread, in at most eight warps: loads of 8 bytes (bfloat16) or 16 (float32), and the nine
# taps take 36 registers. At eight values a thread they take 72 and the compiler needs 136 registers instead of 64, so
# that a multiprocessor of sm_90 holds 12 warps instead of 32 (compiled with Triton 3.7.1).
_TILE = 1024
_VALUES_PER_WARP = 4 * 32
# 64 channels of bfloat16 are one 128-byte line.
_CHANNELS = 64
# Each input row is loaded (rows + 2) / rows times; above eight rows little is won, and the programs become few.
_ROWS = 8
# Programs of the gradient: two for each place on 132 multiprocessors that hold two of them at once, a little less.
PROGRAMS = 512


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


def power_of_two(number: int) -> int:
    """Return the smallest power of two that is not below `number` (1 or more)."""
    return 1 << (number - 1).bit_length()


def choose(height: int, width: int, chs: int) -> Blocks:
    """Return the tile for images of `height` x `width` pixels and `chs` channels."""
    channels = 32 if chs % 64 == 32 else min(_CHANNELS, power_of_two(chs))
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
