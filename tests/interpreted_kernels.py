"""The Triton kernels in Triton's interpreter. `test_kernels.py` runs this file in a process of its own, with
TRITON_INTERPRET=1: once Triton is imported, its mode cannot be changed.

Bounds are those of rounding error analysis (Higham, section 3.1): a value that passes through n roundings of unit
roundoff u is off by at most gamma(n) = n u / (1 - n u) of the sum of magnitudes.
"""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hybridsep.kernels import TritonDepthwise, blocks, depthwise_cases, depthwise_conv3x3, depthwise_ways, install
from hybridsep.modules import Hybrid, Separable, SeparableEquivalent

F32, BF16 = torch.float32, torch.bfloat16


def gamma(roundings: float) -> float:
    return roundings * 2.0**-24 / (1 - roundings * 2.0**-24)


def check(x: Tensor, weight: Tensor, gradient: Tensor, found: tuple[Tensor, ...], *, exact_cast: bool) -> None:
    """Compare y, dx and dw with float64 within what their roundings allow.

    `exact_cast`: bfloat16 results are rounded to nearest (a GPU); Triton's interpreter cuts the bits off.
    """
    n, chs, height, width = x.shape
    tile = blocks.choose(height, width, chs)
    slabs = blocks.cut(n, height, width, chs, tile)
    # A task's rows, one after another; then the tile's columns and the slabs, at most one after another.
    additions = slabs.each * tile.rows + tile.columns + slabs.slabs
    rounded = weight.detach().to(x.dtype)
    ours = dict(zip(("y", "dx", "dw"), found, strict=True))
    right = _reference(x, rounded, gradient)
    magnitudes = _reference(x.abs(), rounded.abs(), gradient.abs())
    for name, result in ours.items():
        cast = {F32: 0.0, BF16: 2.0**-8 if exact_cast else 2.0**-7}[result.dtype]
        # 9 products, and 9 additions on the longest way through them.
        sums = gamma(additions + 1 if name == "dw" else 10) * magnitudes[name]
        bound = sums + cast * (right[name].abs() + sums)
        error = (result.double() - right[name]).abs()
        assert (error <= bound).all(), f"{name}: {(error - bound).max().item()} above the bound"


def _reference(x: Tensor, weight: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    x, weight = x.detach().double().requires_grad_(), weight.detach().double().requires_grad_()
    y = functional.conv2d(x, weight, padding=1, groups=x.shape[1])
    dx, dw = torch.autograd.grad(y, (x, weight), gradient.double())
    return {"y": y.detach(), "dx": dx, "dw": dw}


def tensors(shape, dtype=F32, weight_dtype=F32, device="cpu") -> tuple[Tensor, Tensor, Tensor]:
    """Return x and its output's gradient, channels-last, and the weight between them."""
    numbers = torch.Generator(device).manual_seed(7)
    x, gradient = (
        torch.randn(shape, generator=numbers, device=device).to(dtype=dtype, memory_format=torch.channels_last)
        for _ in range(2)
    )
    weight = torch.randn((shape[1], 1, 3, 3), generator=numbers, device=device).to(weight_dtype)
    return x.requires_grad_(), weight.requires_grad_(), gradient


def run(x: Tensor, weight: Tensor, gradient: Tensor, **keywords) -> tuple[Tensor, Tensor, Tensor]:
    y = depthwise_conv3x3(x, weight, **keywords)
    return y.detach(), *torch.autograd.grad(y, (x, weight), gradient)


@pytest.mark.parametrize("weight_dtype, dtype", [(F32, F32), (F32, BF16), (BF16, BF16)])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 70, 9, 19), (3, 5, 4, 7), (1, 96, 1, 3), (2, 3, 17, 1)])
def test_against_float64(shape, dtype, weight_dtype):
    """One pixel, odd and unequal sides, channels that fill no tile, several tiles each way."""
    x, weight, gradient = tensors(shape, dtype, weight_dtype)
    found = run(x, weight, gradient)
    assert [result.dtype for result in found] == [dtype, dtype, weight_dtype]
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    check(x, weight, gradient, found, exact_cast=False)


def test_every_value_of_a_filter_counts():
    """With one tap at 1 the image moves by one place: nothing hides in a tolerance."""
    x, weight, _ = tensors((2, 3, 5, 4))
    padded = functional.pad(x.detach(), (1, 1, 1, 1))
    for row in range(3):
        for column in range(3):
            tap = torch.zeros_like(weight)
            tap[:, :, row, column] = 1
            assert torch.equal(depthwise_conv3x3(x, tap), padded[:, :, row : row + 5, column : column + 4])


def test_slabs_of_several_tasks(monkeypatch):
    """Three programs for 12 strips and two blocks of channels: the cut that large batches get."""
    monkeypatch.setattr(blocks, "PROGRAMS", 6)
    shape = (6, 70, 9, 5)
    x, weight, gradient = tensors(shape)
    assert blocks.cut(6, 9, 5, 70, blocks.choose(9, 5, 70)) == (12, 4, 3)
    check(x, weight, gradient, run(x, weight, gradient), exact_cast=False)


def test_one_and_two_passes_and_single_gradients_have_the_same_bits():
    x, weight, gradient = tensors((2, 34, 9, 6), BF16)
    together = run(x, weight, gradient)
    apart = run(x, weight, gradient, one_pass=False)
    only_x = torch.autograd.grad(depthwise_conv3x3(x, weight.detach()), x, gradient)
    only_weight = torch.autograd.grad(depthwise_conv3x3(x.detach(), weight), weight, gradient)
    for one, two in zip(together[1:], (*only_x, *only_weight), strict=True):
        assert torch.equal(one, two)
    assert all(torch.equal(one, two) for one, two in zip(together, apart, strict=True))


def test_layouts_have_the_same_bits():
    """Channels first, every other channel of a wider tensor, a gradient that is one number everywhere."""
    x, weight, gradient = tensors((2, 6, 5, 7))
    expected = run(x, weight, gradient)
    wide = torch.zeros(2, 12, 5, 7)
    wide[:, ::2] = x.detach()
    for other in (x.detach().contiguous(), wide[:, ::2]):
        found = run(other.requires_grad_(), weight, gradient.contiguous())
        assert all(torch.equal(one, two) for one, two in zip(expected, found, strict=True))
    ones = torch.ones(())
    assert all(
        torch.equal(one, two)
        for one, two in zip(run(x, weight, ones.expand(x.shape)), run(x, weight, torch.ones_like(x)), strict=True)
    )


def test_autocast_is_conv2ds():
    """x is cast, the weight's gradient stays float32 and is not rounded on its way."""
    x, weight, gradient = tensors((2, 8, 5, 4))
    with torch.autocast("cpu", torch.bfloat16):
        y = depthwise_conv3x3(x, weight)
    dx, dw = torch.autograd.grad(y, (x, weight), gradient.bfloat16())
    expected = run(x.detach().bfloat16().requires_grad_(), weight, gradient.bfloat16())
    assert (y.dtype, dx.dtype, dw.dtype) == (BF16, F32, F32)
    assert all(torch.equal(one, two.to(one.dtype)) for one, two in zip((y, dx, dw), expected, strict=True))
    assert not torch.equal(dw, dw.bfloat16().float())


@pytest.mark.parametrize(
    "x, weight, says",
    [
        (torch.zeros(2, 4, 5), torch.zeros(4, 1, 3, 3), r"\(N, C, H, W\)"),
        (torch.zeros(2, 4, 5, 5), torch.zeros(8, 1, 3, 3), r"\(C, 1, 3, 3\)"),
        (torch.zeros(2, 4, 5, 5), torch.zeros(4, 1, 5, 5), r"\(C, 1, 3, 3\)"),
        (torch.zeros(2, 4, 5, 5).double(), torch.zeros(4, 1, 3, 3).double(), "bfloat16 or float32"),
        (torch.zeros(2, 4, 5, 5), torch.zeros(4, 1, 3, 3).bfloat16(), "x's or float32"),
        (torch.zeros(2, 4, 5, 5, device="meta"), torch.zeros(4, 1, 3, 3), "one CUDA device"),
        (torch.zeros(0, 4, 5, 5), torch.zeros(4, 1, 3, 3), "values an image"),
    ],
)
def test_refusals_name_what_is_allowed(x, weight, says):
    with pytest.raises(ValueError, match=says):
        depthwise_conv3x3(x, weight)


def test_install_changes_the_arithmetic_only():
    torch.manual_seed(0)
    block = torch.nn.Sequential(
        Separable(4, 6, intermediate_activation="none"),
        torch.nn.BatchNorm2d(6),
        Hybrid(6, 6, leading_pointwise=True, identity=True, leading_norm_act=False, inner_ratio=1.0),
        SeparableEquivalent(6, 6),
        torch.nn.Conv2d(6, 6, 3, padding=1, groups=6),  # a bias
        torch.nn.Conv2d(6, 6, 3, padding=1, groups=3, bias=False),
        torch.nn.Conv2d(6, 6, 3, padding=1, stride=2, groups=6, bias=False),
        torch.nn.Conv2d(6, 12, 3, padding=1, groups=6, bias=False),
    )
    block.append(block[0].depthwise.__class__(12, 12, 3, padding=1, groups=12, bias=False))
    block.append(block[-1])  # one module in two places
    parameters, keys = list(block.named_parameters()), list(block.state_dict())
    x = torch.randn(2, 4, 6, 5)
    before = block(x)
    expected = torch.autograd.grad(before.square().sum(), list(block.parameters()), allow_unused=True)
    assert install(block) == (4, 0)  # separable, hybrid, the equivalent's holder, the last
    assert install(block) == (0, 0)
    assert [type(block[0].depthwise), type(block[4]), type(block[-1])] == [
        TritonDepthwise,
        torch.nn.Conv2d,
        TritonDepthwise,
    ]
    assert block[-1] is block[-2]
    after = list(block.named_parameters())
    assert [(name, id(each)) for name, each in after] == [(name, id(each)) for name, each in parameters]
    assert list(block.state_dict()) == keys
    torch.use_deterministic_algorithms(True)
    try:
        y = block(x)
        found = torch.autograd.grad(y.square().sum(), list(block.parameters()), allow_unused=True)
    finally:
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(y, before)
    torch.testing.assert_close(found, expected)
    block.eval()
    with torch.inference_mode():
        evaluated = block(x)
    assert evaluated.is_inference()
    torch.testing.assert_close(evaluated, block(x).detach())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_ways_to_time_agree(precision):
    case = depthwise_cases(1)[3]._replace(height=4, width=4, chs=16)
    ways = depthwise_ways(case, device=torch.device("cpu"), precision=precision)
    assert set(ways) == {"library", "triton", "triton, two passes"}
    coarse = {"rtol": 2**-6, "atol": 2**-4} if precision == "bfloat16" else {}
    for way in ways.values():
        torch.testing.assert_close(way.forward(), ways["library"].forward(), **coarse)
        torch.testing.assert_close(way.backward(), ways["library"].backward(), **coarse)
