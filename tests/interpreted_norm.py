"""BatchNorm with activation in Triton's interpreter; `test_kernels.py` runs this file in a process of its own.

The bounds follow the roundings: k of them on the longest way through a sum, each at most u = 2**-24 of the magnitudes
that are summed.
"""

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from interpreted_kernels import BF16, F32, gamma
from torch import Tensor, nn
from torch.nn import functional

from hybridsep import build
from hybridsep.bench import rows
from hybridsep.config import config_dir
from hybridsep.kernels import TritonNormAct, batch_norm_act, blocks, install, norm_cases, norm_ways
from hybridsep.modules.dense import Dense
from hybridsep.modules.layers import ConvNormAct
from hybridsep.networks import Slot, fractalnet, stack

EPS, MOMENTUM = 1e-5, 0.1


class Problem(NamedTuple):
    """Tensors of `batch_norm_act`, in its order, and the gradient of its result."""

    x: Tensor
    weight: Tensor
    bias: Tensor
    mean: Tensor
    var: Tensor
    counter: Tensor
    gradient: Tensor


def problem(shape, dtype=F32, *, offset=0.5, device="cpu") -> Problem:
    numbers = torch.Generator(device).manual_seed(11)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=numbers, device=device)

    chs = shape[1]
    x, gradient = (
        each.to(dtype=dtype, memory_format=torch.channels_last) for each in (draw(*shape) + offset, draw(*shape))
    )
    channels = [draw(chs).requires_grad_(), draw(chs).requires_grad_(), draw(chs), draw(chs).abs() + 0.5]
    return Problem(x.requires_grad_(), *channels, torch.tensor(3, device=device), gradient)


def run(given: Problem, *, slope=0.0, training=True) -> dict[str, Tensor]:
    """Return y, the gradients and what became of the running statistics; `given` stays as it is."""
    mean, var, counter = (each.clone() for each in (given.mean, given.var, given.counter))
    keywords = {"training": training, "momentum": MOMENTUM, "eps": EPS, "slope": slope}
    y = batch_norm_act(given.x, given.weight, given.bias, mean, var, counter, **keywords)
    dx, dweight, dbias = torch.autograd.grad(y, (given.x, given.weight, given.bias), given.gradient)
    found = {"y": y.detach(), "dx": dx, "dweight": dweight, "dbias": dbias}
    return {**found, "mean": mean, "var": var, "counter": counter}


def check(given: Problem, found: dict[str, Tensor], *, slope: float, training: bool, exact_cast: bool) -> None:
    """Compare everything with torch in float64 within what the roundings allow.

    The derivative of the activation is taken at the sign that `found` has: next to zero float64 may have another.
    """
    x, weight, bias, mean, var = (each.detach().double() for each in given[:5])
    for each in (x, weight, bias):
        each.requires_grad_()
    z = functional.batch_norm(x, mean, var, weight, bias, training, MOMENTUM, EPS)
    sign = (found["y"] > 0) if slope != 1 else torch.ones_like(z, dtype=torch.bool)
    slopes = torch.where(sign, 1.0, slope).double()
    dz = slopes * given.gradient.double()
    dx, dweight, dbias = torch.autograd.grad(z, (x, weight, bias), dz)

    def each_channel(values: Tensor) -> Tensor:
        return values[:, None, None]

    pixels = x.numel() // x.shape[1]
    cut = blocks.view(pixels, x.shape[1])
    k = gamma(8 + 6 * cut.each + blocks.TILE_ROWS + cut.slabs * cut.fold)
    x = x.detach()
    middle, spread = given.mean.double(), given.var.double()
    if training:
        middle, spread = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    apart = x - each_channel(middle)
    off = k * x.square().mean((0, 2, 3)).sqrt() * training  # of the mean
    wrong = (k * spread + 2 * spread.sqrt() * off + off**2) * training  # of the variance
    inverse = (spread + EPS).rsqrt()
    r = wrong * inverse**2 / 2 + gamma(6)  # of the inverse, relatively
    scale = (weight.detach() * inverse).abs()
    magnitude = dz.abs().sum((0, 2, 3))
    along = (dz * apart).abs().sum((0, 2, 3)) * inverse
    bounds = {
        "dbias": k * magnitude,
        "dweight": (k + r) * along + (1 + k) * inverse * off * magnitude,
        "mean": gamma(4) * (given.mean.abs() + middle.abs()) + off,
        "var": gamma(4) * (given.var + 2 * spread) + 2 * wrong,
    }
    bounds["y"] = each_channel(scale * off + gamma(2) * bias.detach().abs())
    bounds["y"] = bounds["y"] + (apart * each_channel(scale * (r + gamma(4)))).abs()
    rest = (
        dz.abs()
        + training * each_channel(magnitude / pixels)
        + training * apart.abs() * each_channel(inverse * along / pixels)
    )
    slack = (bounds["dbias"] + off * inverse * dweight.abs()) / pixels
    slack = each_channel(slack) + apart.abs() * each_channel(inverse * bounds["dweight"] / pixels)
    bounds["dx"] = each_channel(scale) * (rest * each_channel(2 * r + gamma(8)) + training * slack)
    right = {"y": torch.where(z > 0, z, slope * z).detach(), "dx": dx, "dweight": dweight, "dbias": dbias}
    right |= {"mean": mean, "var": var}
    for name, bound in bounds.items():
        cast = {F32: 0.0, BF16: 2.0**-8 if exact_cast else 2.0**-7}[found[name].dtype]
        bound = bound + cast * (right[name].abs() + bound)
        error = (found[name].double() - right[name]).abs()
        assert (error <= bound).all(), f"{name}: {(error - bound).max().item()} above the bound"
    assert int(found["counter"]) == 3 + training


@pytest.mark.parametrize(
    "shape, slope",
    [
        ((2, 1, 1, 1), 0.0),
        ((5, 3, 1, 1), 1.0),
        ((3, 24, 8, 8), 0.0),  # 8 pixels a row
        ((2, 70, 5, 7), 0.1),  # two tiles of columns, the second with 6 of 64
        ((2, 64, 16, 17), 0.0),  # 4.25 chunks
        ((8, 64, 4, 4), 0.1),  # nothing left over
        ((1, 3, 9, 9), 0.0),
    ],
)
@pytest.mark.parametrize("dtype", [F32, BF16])
def test_against_float64(shape, slope, dtype):
    given = problem(shape, dtype)
    for training in (True, False):
        found = run(given, slope=slope, training=training)
        assert found["y"].dtype == found["dx"].dtype == dtype and found["dweight"].dtype == F32
        assert found["y"].is_contiguous(memory_format=torch.channels_last)
        check(given, found, slope=slope, training=training, exact_cast=False)


def test_slabs_of_several_chunks(monkeypatch):
    """Two programs of statistics for 4.25 chunks: the cut that large batches get."""
    monkeypatch.setattr(blocks, "PROGRAMS", 2)
    given = problem((2, 64, 16, 17))
    assert blocks.view(544, 64)[:6] == (1, 544, 64, 5, 3, 2)
    check(given, run(given, slope=0.1), slope=0.1, training=True, exact_cast=False)


def test_variance_survives_a_large_mean():
    """Mean 4096, variance 1: in float32 a mean of squares minus a squared mean has an error of 1."""
    given = problem((4, 3, 12, 12), offset=4096.0)
    with torch.no_grad():
        given.x[0, :, 0, 0] += 500  # a first value far from all others: a shift by it would not help
    found = run(given)
    check(given, found, slope=0.0, training=True, exact_cast=False)
    x = given.x.detach().double()
    expected = 0.9 * given.var + 0.1 * x.var((0, 2, 3))
    torch.testing.assert_close(found["var"].double(), expected, rtol=1e-5, atol=0)


def test_layouts_and_single_gradients_have_the_same_bits():
    """Channels first, a gradient that is one number everywhere, and each gradient asked for by itself."""
    given = problem((2, 6, 5, 7), BF16)
    expected = run(given)
    other = given._replace(x=given.x.detach().contiguous().requires_grad_(), gradient=given.gradient.contiguous())
    assert all(torch.equal(one, expected[name]) for name, one in run(other).items())
    ones = torch.ones((), dtype=BF16)
    spread, whole = ones.expand(given.x.shape), torch.ones_like(given.x)
    whole = run(given._replace(gradient=whole))
    assert all(torch.equal(one, whole[name]) for name, one in run(given._replace(gradient=spread)).items())
    for training in (True, False):
        together = run(given, training=training)
        for place, name in ((0, "dx"), (1, "dweight"), (2, "dbias")):
            inputs = [each.detach() for each in given[:6]]
            inputs[place].requires_grad_()
            inputs[3:] = [each.clone() for each in inputs[3:]]
            y = batch_norm_act(*inputs, training=training, momentum=MOMENTUM, eps=EPS, slope=0.0)
            (alone,) = torch.autograd.grad(y, inputs[place], given.gradient)
            assert torch.equal(alone, together[name])


def test_zero_and_nan_are_the_librarys():
    """At 0 the derivative is the slope; a value that is not a number is not hidden by ReLU."""
    given = problem((2, 2, 3, 3))
    with torch.no_grad():
        given.weight.zero_()
        given.bias.copy_(torch.tensor([0.0, 1.0]))
        given.x[0, 1, 0, 0] = torch.nan
    found = run(given)
    assert found["y"][:, 0].eq(0).all() and found["dbias"][0] == 0
    assert found["y"][:, 1].isnan().all() and found["var"][1].isnan() and not found["var"][0].isnan()


def test_evaluation_before_backward_of_another_step():
    """The running statistics may move between a forward pass in evaluation mode and its backward pass."""
    given = problem((2, 6, 5, 7))
    expected = run(given, training=False)
    mean, var = given.mean.clone(), given.var.clone()
    keywords = {"momentum": MOMENTUM, "eps": EPS, "slope": 0.0}
    y = batch_norm_act(given.x, given.weight, given.bias, mean, var, given.counter, training=False, **keywords)
    batch_norm_act(given.x, given.weight, given.bias, mean, var, given.counter.clone(), training=True, **keywords)
    (dx,) = torch.autograd.grad(y, given.x, given.gradient)
    assert torch.equal(dx, expected["dx"])


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"x": torch.zeros(2, 4, 5)}, r"x \(N, C, H, W\)"),
        ({"weight": torch.zeros(5)}, r"dense \(C,\)"),
        ({"mean": torch.zeros(8)[::2]}, r"dense \(C,\)"),
        ({"x": torch.zeros(2, 4, 5, 5).double()}, "bfloat16 or float32"),
        ({"var": torch.zeros(4).bfloat16()}, "all else float32"),
        ({"counter": torch.tensor(1.0)}, "one int64"),
        ({"x": torch.zeros(0, 4, 5, 5)}, "1 to"),
        ({"x": torch.zeros(1, 4, 1, 1)}, "more than one value a channel"),
        ({"x": torch.zeros(2, 4, 5, 5, device="meta")}, "one CUDA device"),
    ],
)
def test_refusals_name_what_is_allowed(changes, says):
    given = problem((2, 4, 5, 5))._replace(**changes)
    with pytest.raises(ValueError, match=says):
        batch_norm_act(*given[:6], training=True, momentum=MOMENTUM, eps=EPS, slope=0.0)


def test_install_changes_the_arithmetic_only():
    torch.manual_seed(0)
    slot, dense = Slot(Dense, {}), Dense(6, 6)
    shared = ConvNormAct(6, 6, 1, act_layer="relu")
    shared.norm = nn.BatchNorm2d(6)
    other = ConvNormAct(6, 6, 1, act_layer="relu")
    other.norm = shared.norm  # one BatchNorm in two places
    hooked = ConvNormAct(6, 6, 1, act_layer="relu")
    hooked.norm.register_forward_hook(lambda *_: None)
    twice = ConvNormAct(6, 6, 1, act_layer="relu")  # one module in two places
    network = nn.Sequential(
        *(ConvNormAct(6, 6, 1, act_layer=name) for name in ("relu", "leaky_relu", "none", "elu")),
        stack.Layer(slot, 6, 6, act_layer="relu", residual=False),
        stack.Layer(slot, 6, 6, act_layer="relu", residual=True),
        fractalnet.Layer(slot, 6, 6, dropout=0.0),
        *(dense, nn.BatchNorm2d(6), nn.ReLU(), shared, other, hooked, twice, twice),
    )
    for norm in (each for each in network.modules() if isinstance(each, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    parameters, keys = list(network.named_parameters()), list(network.state_dict())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.randn(3, 6, 5, 4)

    def step() -> dict[str, Tensor]:
        network.load_state_dict(before)
        y = network.train()(x)
        gradients = torch.autograd.grad(y.square().sum(), list(network.parameters()))
        found = {"y": y, **{str(place): each for place, each in enumerate(gradients)}, **network.state_dict()}
        network.eval()
        with torch.inference_mode():
            return {name: value.clone() for name, value in {**found, "evaluated": network(x)}.items()}

    expected = step()
    assert install(network) == (0, 6) and install(network) == (0, 0)
    normed = [name for name, module in network.named_modules() if isinstance(module, TritonNormAct)]
    assert normed == [f"{place}.norm" for place in (0, 1, 2, 4, 6, 13)]
    assert [network[place].norm.slope for place in (0, 1, 2, 4, 6, 13)] == [0.0, 0.1, 1.0, 0.0, 0.0, 0.0]
    assert [(name, id(each)) for name, each in network.named_parameters()] == [
        (name, id(each)) for name, each in parameters
    ]
    assert list(network.state_dict()) == keys
    for name, value in step().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "model, norms",
    [
        ("darknet", 9),
        ("darknet_separable", 9),
        ("fractalnet", 35),
        ("fractalnet_separable", 35),
        ("hybrid", 4),
        ("inception", 25),  # a stem, and three modules of 7 with the layer's own
        ("reformulated_inception", 7),
        ("resnext", 15),  # stem 1; modules 3 x 3, two of them with a shortcut; the layers' own 3
        ("separable", 4),
        ("separable_equivalent", 4),
    ],
)
def test_every_norm_of_the_study(model, norms):
    config = rows.compose([f"model={model}", "size=tiny", "data=synthetic"])
    network = build.network_factory(config, classes=10)()
    names = [*dict(network.named_parameters()), *network.state_dict()]
    assert install(network).norms == norms
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == norms
    assert [*dict(network.named_parameters()), *network.state_dict()] == names


def test_models_are_all_there():
    named = {path.stem for path in Path(config_dir(), "model").glob("*.yaml")}
    marks = test_every_norm_of_the_study.pytestmark[0].args[1]
    assert {model for model, _ in marks} == named


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_ways_to_time_agree(precision):
    case = norm_cases(2)[2]._replace(height=4, width=4, chs=16)
    ways = norm_ways(case, device=torch.device("cpu"), precision=precision)
    coarse = {"rtol": 2**-6, "atol": 2**-5} if precision == "bfloat16" else {}
    for way in ways.values():
        torch.testing.assert_close(way.forward(), ways["library"].forward(), **coarse)
        torch.testing.assert_close(way.backward(), ways["library"].backward(), **coarse)
