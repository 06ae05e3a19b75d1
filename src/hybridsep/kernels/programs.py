"""The Triton programs of the depthwise 3x3 convolution. Importing this file imports Triton.

All tensors are dense and channels innermost: x, y, g are (N, H, W, C), filters (9, C), tap 3 * i + j for row i and
column j. Sums are float32. H, W and C are compile-time constants: the few shapes of a network are compiled once each,
and divisions by them become multiplications.

Why this form: 9 multiplications per value read leave the convolution bound by memory, so the aim is to read device
memory once, with wide loads, many of them on the way at a time. A tile is COLS x CHS values, channels innermost, so a
load is a run of whole 128-byte lines. A program walks down ROWS rows of one image, unrolled, so that the loads of all
rows can be issued before the first is used. Each input row is loaded three times (shifted by one column; the second
and third come from L1) and used for the three output rows it touches, 3 * (ROWS + 2) / ROWS loads per output instead of
9. Filters stay in registers.
"""

import triton
import triton.language as tl


@triton.jit
def _row(p, at, row, columns, chs, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr):
    """Return one row of an image at its columns - 1, + 0 and + 1, float32 (COLS, CHS) each; zero outside the image."""
    there = (row >= 0) & (row < H) & (chs < C)
    p += row * (W * C) + at
    left = tl.load(p - C, mask=there & (columns > 0) & (columns <= W), other=0.0)
    middle = tl.load(p, mask=there & (columns < W), other=0.0)
    right = tl.load(p + C, mask=there & (columns < W - 1), other=0.0)
    return left.to(tl.float32), middle.to(tl.float32), right.to(tl.float32)


@triton.jit
def _tap(w_ptr, chs, k: tl.constexpr, C: tl.constexpr):
    return tl.load(w_ptr + k * C + chs, mask=chs < C, other=0.0).to(tl.float32)


@triton.jit
def _add(total, left, middle, right, a, b, c):
    """Add three products, fused: left to the compiler, each kernel could round another of the products."""
    return tl.fma(right, c, tl.fma(middle, b, tl.fma(left, a, total)))


@triton.jit
def correlate(
    x_ptr, w_ptr, y_ptr,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, FLIP: tl.constexpr,
    ROWS: tl.constexpr, COLS: tl.constexpr, CHS: tl.constexpr,
):  # fmt: skip
    """y = x correlated with w; with FLIP, with w turned by 180 degrees (the gradient of the input, for x = g)."""
    pid = tl.program_id(0)
    chs = pid % tl.cdiv(C, CHS) * CHS + tl.arange(0, CHS)[None, :]
    pid //= tl.cdiv(C, CHS)
    columns = pid % tl.cdiv(W, COLS) * COLS + tl.arange(0, COLS)[:, None]
    pid //= tl.cdiv(W, COLS)
    top = pid % tl.cdiv(H, ROWS) * ROWS
    image = (pid // tl.cdiv(H, ROWS)).to(tl.int64) * (H * W * C)
    at = columns * C + chs
    w0 = _tap(w_ptr, chs, 8 if FLIP else 0, C)
    w1 = _tap(w_ptr, chs, 7 if FLIP else 1, C)
    w2 = _tap(w_ptr, chs, 6 if FLIP else 2, C)
    w3 = _tap(w_ptr, chs, 5 if FLIP else 3, C)
    w4 = _tap(w_ptr, chs, 4, C)
    w5 = _tap(w_ptr, chs, 3 if FLIP else 5, C)
    w6 = _tap(w_ptr, chs, 2 if FLIP else 6, C)
    w7 = _tap(w_ptr, chs, 1 if FLIP else 7, C)
    w8 = _tap(w_ptr, chs, 0 if FLIP else 8, C)
    # Output rows that have had their first and their first two input rows.
    zero = tl.zeros((COLS, CHS), tl.float32)
    one, two = zero, zero
    for r in tl.static_range(ROWS + 2):
        left, middle, right = _row(x_ptr + image, at, top - 1 + r, columns, chs, H, W, C)
        if r >= 2:
            row = top + r - 2
            total = _add(two, left, middle, right, w6, w7, w8)
            p = y_ptr + image + row * (W * C) + at
            tl.store(p, total.to(y_ptr.dtype.element_ty), mask=(row < H) & (columns < W) & (chs < C))
        two = _add(one, left, middle, right, w3, w4, w5)
        one = _add(zero, left, middle, right, w0, w1, w2)


@triton.jit
def _add_nine(a0, a1, a2, a3, a4, a5, a6, a7, a8, b0, b1, b2, b3, b4, b5, b6, b7, b8):
    return a0 + b0, a1 + b1, a2 + b2, a3 + b3, a4 + b4, a5 + b5, a6 + b6, a7 + b7, a8 + b8


@triton.jit
def gradients(
    x_ptr, g_ptr, w_ptr, dx_ptr, partial_ptr, TASKS, EACH,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, WITH_INPUT: tl.constexpr,
    ROWS: tl.constexpr, COLS: tl.constexpr, CHS: tl.constexpr,
):  # fmt: skip
    """Partial sums (slabs, 9, C) of the filter's gradient and, WITH_INPUT, the input's gradient in the same pass.

    Both are sums over the shifted output gradient g, so that one reading of g serves both.
    A slab is EACH tasks of TASKS; a task is ROWS rows by COLS columns of an image.
    """
    pid = tl.program_id(0)
    chs = pid % tl.cdiv(C, CHS) * CHS + tl.arange(0, CHS)[None, :]
    slab = pid // tl.cdiv(C, CHS)
    if WITH_INPUT:
        w0 = _tap(w_ptr, chs, 0, C)
        w1 = _tap(w_ptr, chs, 1, C)
        w2 = _tap(w_ptr, chs, 2, C)
        w3 = _tap(w_ptr, chs, 3, C)
        w4 = _tap(w_ptr, chs, 4, C)
        w5 = _tap(w_ptr, chs, 5, C)
        w6 = _tap(w_ptr, chs, 6, C)
        w7 = _tap(w_ptr, chs, 7, C)
        w8 = _tap(w_ptr, chs, 8, C)
    zero = tl.zeros((COLS, CHS), tl.float32)
    d0, d1, d2, d3, d4, d5, d6, d7, d8 = zero, zero, zero, zero, zero, zero, zero, zero, zero
    for task in range(slab * EACH, min((slab + 1) * EACH, TASKS)):
        columns = task % tl.cdiv(W, COLS) * COLS + tl.arange(0, COLS)[:, None]
        strip = task // tl.cdiv(W, COLS)
        top = strip % tl.cdiv(H, ROWS) * ROWS
        image = (strip // tl.cdiv(H, ROWS)).to(tl.int64) * (H * W * C)
        at = columns * C + chs
        inside = (columns < W) & (chs < C)
        above, here = zero, zero  # rows of x above and beside the row of g
        one, two = zero, zero
        for r in tl.static_range(ROWS + 2):
            left, middle, right = _row(g_ptr + image, at, top - 1 + r, columns, chs, H, W, C)
            if r < ROWS:
                row = top + r
                below = tl.load(x_ptr + image + row * (W * C) + at, mask=inside & (row < H), other=0.0).to(tl.float32)
                d6 = tl.fma(below, right, d6)
                d7 = tl.fma(below, middle, d7)
                d8 = tl.fma(below, left, d8)
            if r >= 1 and r <= ROWS:
                d3 = tl.fma(here, right, d3)
                d4 = tl.fma(here, middle, d4)
                d5 = tl.fma(here, left, d5)
            if r >= 2:
                d0 = tl.fma(above, right, d0)
                d1 = tl.fma(above, middle, d1)
                d2 = tl.fma(above, left, d2)
                if WITH_INPUT:
                    row = top + r - 2
                    total = _add(two, left, middle, right, w2, w1, w0)
                    p = dx_ptr + image + row * (W * C) + at
                    tl.store(p, total.to(dx_ptr.dtype.element_ty), mask=inside & (row < H))
            if WITH_INPUT:
                two = _add(one, left, middle, right, w5, w4, w3)
                one = _add(zero, left, middle, right, w8, w7, w6)
            above = here
            here = below
    # One reduction of nine values, so that the warps wait for each other once and not nine times.
    s0, s1, s2, s3, s4, s5, s6, s7, s8 = tl.reduce((d0, d1, d2, d3, d4, d5, d6, d7, d8), 0, _add_nine, keep_dims=True)
    p = partial_ptr + slab * (9 * C) + chs
    mask = chs < C
    tl.store(p, s0, mask)
    tl.store(p + C, s1, mask)
    tl.store(p + 2 * C, s2, mask)
    tl.store(p + 3 * C, s3, mask)
    tl.store(p + 4 * C, s4, mask)
    tl.store(p + 5 * C, s5, mask)
    tl.store(p + 6 * C, s6, mask)
    tl.store(p + 7 * C, s7, mask)
    tl.store(p + 8 * C, s8, mask)


@triton.jit
def add_slabs(partial_ptr, dw_ptr, SLABS: tl.constexpr, POWER: tl.constexpr, C: tl.constexpr, CHS: tl.constexpr):
    """Add the partial sums (slabs, 9, C), in a tree over POWER >= SLABS places, to the filter's gradient (C, 9)."""
    k = tl.program_id(0)
    chs = tl.program_id(1) * CHS + tl.arange(0, CHS)[None, :]
    slabs = tl.arange(0, POWER)[:, None]
    parts = tl.load(partial_ptr + slabs * (9 * C) + k * C + chs, mask=(slabs < SLABS) & (chs < C), other=0.0)
    total = tl.sum(parts, 0, keep_dims=True)
    tl.store(dw_ptr + chs * 9 + k, total.to(dw_ptr.dtype.element_ty), mask=chs < C)
