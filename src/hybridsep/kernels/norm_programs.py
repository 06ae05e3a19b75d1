"""The Triton programs of BatchNorm with an activation. Importing this file imports Triton.

x, y, g (the gradient of y) and dx are dense, channels innermost, seen as (rows, width) (`blocks.view`): column c
belongs to channel c % C. Everything per channel is float32, and so is all arithmetic. Sizes are numbers given at the
call, so that a program is compiled once for each number format and activation and not for each width of a network.

z = (x - mean) * scale + bias with scale = weight / sqrt(var + eps); y = z where z > 0, SLOPE * z elsewhere (SLOPE 1: no
activation). z is made of the same two operations everywhere, so that the backward pass sees the sign that the forward
pass saw. A NaN is not below zero and passes through.
"""

import triton
import triton.language as tl


@triton.jit
def _place(pid, width, ROWS: tl.constexpr, CHS: tl.constexpr):
    """Return a program's rank among those of its columns, its columns (1, CHS) and its lanes (ROWS, 1)."""
    blocks = tl.cdiv(width, CHS)
    return pid // blocks, pid % blocks * CHS + tl.arange(0, CHS)[None, :], tl.arange(0, ROWS)[:, None]


@triton.jit
def _inside(lanes, columns, left, width):
    return (lanes < left) & (columns < width)


@triton.jit
def _load(p, lanes, columns, left, width, EVEN: tl.constexpr):
    """Return rows `lanes` of a chunk as float32; zero outside of the `left` rows that there are."""
    p += lanes * width + columns
    if EVEN:
        v = tl.load(p)
    else:
        v = tl.load(p, mask=_inside(lanes, columns, left, width), other=0.0)
    return v.to(tl.float32)


@triton.jit
def _load_four(p, lanes, columns, left, width, EVEN: tl.constexpr, ROWS: tl.constexpr):
    """Return the four tiles of a chunk, all loads before the first use."""
    a = _load(p, lanes, columns, left, width, EVEN)
    b = _load(p, lanes + ROWS, columns, left, width, EVEN)
    c = _load(p, lanes + 2 * ROWS, columns, left, width, EVEN)
    d = _load(p, lanes + 3 * ROWS, columns, left, width, EVEN)
    return a, b, c, d


@triton.jit
def _store(p, v, lanes, columns, left, width, EVEN: tl.constexpr):
    p += lanes * width + columns
    if EVEN:
        tl.store(p, v.to(p.dtype.element_ty))
    else:
        tl.store(p, v.to(p.dtype.element_ty), mask=_inside(lanes, columns, left, width))


@triton.jit
def _store_two(p, first, second, slab, columns, width, SLABS):
    """Store a slab's two rows of partial results, (2, SLABS, width)."""
    tl.store(p + slab * width + columns, first, mask=columns < width)
    tl.store(p + (SLABS + slab) * width + columns, second, mask=columns < width)


@triton.jit
def _channel(p, columns, width, C, FOLDED: tl.constexpr):
    """Return what belongs to each column's channel, (1, CHS)."""
    return tl.load(p + (columns % C if FOLDED else columns), mask=columns < width, other=0.0)


@triton.jit
def _square(v, mean, lanes, columns, left, width, EVEN: tl.constexpr):
    d = v - mean
    if not EVEN:
        d = tl.where(_inside(lanes, columns, left, width), d, 0.0)
    return d * d


@triton.jit
def statistics(
    x_ptr, partial_ptr, rows, width, EACH, SLABS,
    EVEN: tl.constexpr, ROWS: tl.constexpr, CHS: tl.constexpr,
):  # fmt: skip
    """Partial means and sums of squared deviations from them, (2, SLABS, width). A slab: EACH chunks of 4 * ROWS rows.

    Every lane takes the mean of the four values of a chunk, then their deviations from it, and merges both into what
    it has (Chan, Golub and LeVeque 1983): no square of a mean is ever subtracted from a mean of squares.
    """
    slab, columns, lanes = _place(tl.program_id(0), width, ROWS, CHS)
    count = tl.zeros((ROWS, 1), tl.float32)
    mean = tl.zeros((ROWS, CHS), tl.float32)
    squares = tl.zeros((ROWS, CHS), tl.float32)
    x_ptr += (slab * EACH * (4 * ROWS)).to(tl.int64) * width
    for chunk in range(slab * EACH, min((slab + 1) * EACH, tl.cdiv(rows, 4 * ROWS))):
        left = rows - chunk * (4 * ROWS)
        a, b, c, d = _load_four(x_ptr, lanes, columns, left, width, EVEN, ROWS)
        x_ptr += 4 * ROWS * width
        here = tl.minimum(tl.maximum((left - lanes + ROWS - 1) // ROWS, 0), 4).to(tl.float32)
        middle = ((a + b) + (c + d)) / (4.0 if EVEN else tl.maximum(here, 1.0))
        own = _square(a, middle, lanes, columns, left, width, EVEN)
        own += _square(b, middle, lanes + ROWS, columns, left, width, EVEN)
        own += _square(c, middle, lanes + 2 * ROWS, columns, left, width, EVEN)
        own += _square(d, middle, lanes + 3 * ROWS, columns, left, width, EVEN)
        share = here / tl.maximum(count + here, 1.0)
        apart = middle - mean
        mean += apart * share
        squares += own + apart * apart * (count * share)
        count += here
    total = tl.sum(count, 0, keep_dims=True)
    together = tl.sum(count * mean, 0, keep_dims=True) / total
    apart = mean - together
    squares = tl.sum(squares + count * apart * apart, 0, keep_dims=True)
    _store_two(partial_ptr, together, squares, slab, columns, width, SLABS)


@triton.jit
def _parts(C, PARTS, POWER: tl.constexpr, CHS: tl.constexpr):
    chs = tl.program_id(0) * CHS + tl.arange(0, CHS)[None, :]
    parts = tl.arange(0, POWER)[:, None]
    return chs, parts, (parts < PARTS) & (chs < C)


@triton.jit
def combine_statistics(
    partial_ptr, mean_ptr, var_ptr, running_mean_ptr, running_var_ptr, counter_ptr,
    rows, C, PARTS, FOLD, STEP, momentum,
    POWER: tl.constexpr, CHS: tl.constexpr,
):  # fmt: skip
    """Mean and biased variance (C,) from partial ones (2, PARTS, C), the running ones moved, the counter one up.

    A row of `width` columns is FOLD rows of C: part k is of slab k // FOLD, which is STEP rows, the last one fewer.
    """
    chs, parts, there = _parts(C, PARTS, POWER, CHS)
    count = tl.where(parts < PARTS, tl.minimum(rows - parts // FOLD * STEP, STEP), 0).to(tl.float32)
    pixels = (rows * FOLD).to(tl.float32)
    means = tl.load(partial_ptr + parts * C + chs, mask=there, other=0.0)
    squares = tl.load(partial_ptr + PARTS * C + parts * C + chs, mask=there, other=0.0)
    mean = tl.sum(count * means, 0, keep_dims=True) / pixels
    apart = means - mean
    total = tl.sum(squares + count * apart * apart, 0, keep_dims=True)
    mask = chs < C
    tl.store(mean_ptr + chs, mean, mask=mask)
    tl.store(var_ptr + chs, total / pixels, mask=mask)
    before = tl.load(running_mean_ptr + chs, mask=mask)
    tl.store(running_mean_ptr + chs, before + momentum * (mean - before), mask=mask)
    before = tl.load(running_var_ptr + chs, mask=mask)
    tl.store(running_var_ptr + chs, before + momentum * (total / (pixels - 1.0) - before), mask=mask)
    if tl.program_id(0) == 0:
        tl.store(counter_ptr, tl.load(counter_ptr) + 1)


@triton.jit
def _activated(v, mean, scale, bias, SLOPE: tl.constexpr):
    z = tl.fma(v - mean, scale, bias)
    if SLOPE == 0.0:
        z = tl.where(z <= 0.0, 0.0, z)
    elif SLOPE != 1.0:
        z = tl.where(z <= 0.0, z * SLOPE, z)
    return z


@triton.jit
def normalise(
    x_ptr, y_ptr, mean_ptr, var_ptr, weight_ptr, bias_ptr, rows, width, C, eps,
    SLOPE: tl.constexpr, EVEN: tl.constexpr, FOLDED: tl.constexpr, ROWS: tl.constexpr, CHS: tl.constexpr,
):  # fmt: skip
    """y = activation(z), a chunk of 4 * ROWS rows a program."""
    chunk, columns, lanes = _place(tl.program_id(0), width, ROWS, CHS)
    left = rows - chunk * (4 * ROWS)
    start = (chunk * (4 * ROWS)).to(tl.int64) * width
    a, b, c, d = _load_four(x_ptr + start, lanes, columns, left, width, EVEN, ROWS)
    mean = _channel(mean_ptr, columns, width, C, FOLDED)
    scale = tl.rsqrt(_channel(var_ptr, columns, width, C, FOLDED) + eps)
    scale *= _channel(weight_ptr, columns, width, C, FOLDED)
    bias = _channel(bias_ptr, columns, width, C, FOLDED)
    y_ptr += start
    _store(y_ptr, _activated(a, mean, scale, bias, SLOPE), lanes, columns, left, width, EVEN)
    _store(y_ptr, _activated(b, mean, scale, bias, SLOPE), lanes + ROWS, columns, left, width, EVEN)
    _store(y_ptr, _activated(c, mean, scale, bias, SLOPE), lanes + 2 * ROWS, columns, left, width, EVEN)
    _store(y_ptr, _activated(d, mean, scale, bias, SLOPE), lanes + 3 * ROWS, columns, left, width, EVEN)


@triton.jit
def _dz(apart, g, scale, bias, SLOPE: tl.constexpr):
    """Return the gradient of z from y's; `apart` is x - mean."""
    if SLOPE != 1.0:
        g = tl.where(tl.fma(apart, scale, bias) <= 0.0, g * SLOPE, g)
    return g


@triton.jit
def gradient_sums(
    x_ptr, g_ptr, partial_ptr, mean_ptr, var_ptr, weight_ptr, bias_ptr, rows, width, C, EACH, SLABS, eps,
    SLOPE: tl.constexpr, EVEN: tl.constexpr, FOLDED: tl.constexpr, ROWS: tl.constexpr, CHS: tl.constexpr,
):  # fmt: skip
    """Partial sums (2, SLABS, width) of dz and of dz * (x - mean). Outside the rows g is zero, and so is dz."""
    slab, columns, lanes = _place(tl.program_id(0), width, ROWS, CHS)
    mean = _channel(mean_ptr, columns, width, C, FOLDED)
    scale = tl.rsqrt(_channel(var_ptr, columns, width, C, FOLDED) + eps)
    scale *= _channel(weight_ptr, columns, width, C, FOLDED)
    bias = _channel(bias_ptr, columns, width, C, FOLDED)
    plain = tl.zeros((ROWS, CHS), tl.float32)
    product = tl.zeros((ROWS, CHS), tl.float32)
    start = (slab * EACH * (4 * ROWS)).to(tl.int64) * width
    x_ptr += start
    g_ptr += start
    for chunk in range(slab * EACH, min((slab + 1) * EACH, tl.cdiv(rows, 4 * ROWS))):
        left = rows - chunk * (4 * ROWS)
        x0, x1, x2, x3 = _load_four(x_ptr, lanes, columns, left, width, EVEN, ROWS)
        g0, g1, g2, g3 = _load_four(g_ptr, lanes, columns, left, width, EVEN, ROWS)
        x_ptr += 4 * ROWS * width
        g_ptr += 4 * ROWS * width
        x0 -= mean
        x1 -= mean
        x2 -= mean
        x3 -= mean
        g0 = _dz(x0, g0, scale, bias, SLOPE)
        g1 = _dz(x1, g1, scale, bias, SLOPE)
        g2 = _dz(x2, g2, scale, bias, SLOPE)
        g3 = _dz(x3, g3, scale, bias, SLOPE)
        plain += (g0 + g1) + (g2 + g3)
        product += tl.fma(x0, g0, x1 * g1) + tl.fma(x2, g2, x3 * g3)
    plain, product = tl.sum(plain, 0, keep_dims=True), tl.sum(product, 0, keep_dims=True)
    _store_two(partial_ptr, plain, product, slab, columns, width, SLABS)


@triton.jit
def combine_sums(
    partial_ptr, var_ptr, dweight_ptr, dbias_ptr, C, PARTS, eps,
    POWER: tl.constexpr, CHS: tl.constexpr,
):  # fmt: skip
    """Gradients of weight and bias (C,) from partial sums (2, PARTS, C)."""
    chs, parts, there = _parts(C, PARTS, POWER, CHS)
    plain = tl.load(partial_ptr + parts * C + chs, mask=there, other=0.0)
    product = tl.load(partial_ptr + PARTS * C + parts * C + chs, mask=there, other=0.0)
    mask = chs < C
    inverse = tl.rsqrt(tl.load(var_ptr + chs, mask=mask, other=0.0) + eps)
    tl.store(dbias_ptr + chs, tl.sum(plain, 0, keep_dims=True), mask=mask)
    tl.store(dweight_ptr + chs, tl.sum(product, 0, keep_dims=True) * inverse, mask=mask)


@triton.jit
def _dx(v, g, mean, scale, bias, offset, along, SLOPE: tl.constexpr, TRAINING: tl.constexpr):
    apart = v - mean
    dz = _dz(apart, g, scale, bias, SLOPE)
    if TRAINING:
        dz = tl.fma(-apart, along, dz - offset)
    return dz * scale


@triton.jit
def input_gradient(
    x_ptr, g_ptr, dx_ptr, mean_ptr, var_ptr, weight_ptr, bias_ptr, dweight_ptr, dbias_ptr, rows, width, C, FOLD, eps,
    SLOPE: tl.constexpr, TRAINING: tl.constexpr,
    EVEN: tl.constexpr, FOLDED: tl.constexpr, ROWS: tl.constexpr, CHS: tl.constexpr,
):  # fmt: skip
    """dx = scale * dz; in TRAINING, where mean and variance depend on x, without dz's mean and its part along x."""
    chunk, columns, lanes = _place(tl.program_id(0), width, ROWS, CHS)
    left = rows - chunk * (4 * ROWS)
    start = (chunk * (4 * ROWS)).to(tl.int64) * width
    x0, x1, x2, x3 = _load_four(x_ptr + start, lanes, columns, left, width, EVEN, ROWS)
    g0, g1, g2, g3 = _load_four(g_ptr + start, lanes, columns, left, width, EVEN, ROWS)
    mean = _channel(mean_ptr, columns, width, C, FOLDED)
    inverse = tl.rsqrt(_channel(var_ptr, columns, width, C, FOLDED) + eps)
    scale = inverse * _channel(weight_ptr, columns, width, C, FOLDED)
    bias = _channel(bias_ptr, columns, width, C, FOLDED)
    offset, along = bias, bias
    if TRAINING:
        share = 1.0 / (rows * FOLD).to(tl.float32)
        offset = _channel(dbias_ptr, columns, width, C, FOLDED) * share
        along = _channel(dweight_ptr, columns, width, C, FOLDED) * share * inverse
    dx_ptr += start
    d = _dx(x0, g0, mean, scale, bias, offset, along, SLOPE, TRAINING)
    _store(dx_ptr, d, lanes, columns, left, width, EVEN)
    d = _dx(x1, g1, mean, scale, bias, offset, along, SLOPE, TRAINING)
    _store(dx_ptr, d, lanes + ROWS, columns, left, width, EVEN)
    d = _dx(x2, g2, mean, scale, bias, offset, along, SLOPE, TRAINING)
    _store(dx_ptr, d, lanes + 2 * ROWS, columns, left, width, EVEN)
    d = _dx(x3, g3, mean, scale, bias, offset, along, SLOPE, TRAINING)
    _store(dx_ptr, d, lanes + 3 * ROWS, columns, left, width, EVEN)
