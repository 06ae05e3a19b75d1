"""The six modules: costs against torch's counter, identities, and other libraries' modules with the same weights."""

import copy
import itertools
import shutil

import pytest
import torch
import torch.nn.functional as F
import yaml
from made_networks import CONF, ROWS, images, randomise, slot
from refusals import refused
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hybridsep import modules
from hybridsep.config.targets import check_keywords
from hybridsep.modules import Hybrid, Inception, ReformulatedInception, ResNeXt, Separable, SeparableEquivalent, fast
from hybridsep.modules.fast import has_fast, norm_relu, use_fast
from hybridsep.modules.inception import AveragePool, tower_widths
from hybridsep.modules.layers import scaled
from hybridsep.modules.resnext import bottleneck
from hybridsep.networks.cost import cost_of, parameters
from hybridsep.networks.factory import ModuleFactory

SLOTS = {row: slot(row) for row in ROWS} | {
    "separable relu": slot("separable", intermediate_activation="relu"),
    "inception half": slot("inception", inner_ratio=0.5),
    "resnext 4": slot("resnext", cardinality=4, inner_ratio=0.8),
    "reformulated bare": slot("reformulated_inception", norm_act=False, inner_ratio=0.3),
    "hybrid identity": slot("hybrid", identity=True, inner_ratio=0.7),
    "hybrid norm": slot("hybrid", leading_norm_act=True),
    "hybrid short": slot("hybrid", leading_pointwise=False),
}


def assert_same(left: nn.Module, right: nn.Module, x: torch.Tensor) -> None:
    """Outputs, input gradients and the gradients of equally named parameters agree to float64 rounding."""
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [side(each) for side, each in zip((left, right), inputs, strict=True)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-10, atol=1e-10)
    for output in outputs:
        output.backward(images(*output.shape, seed=2))
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-10, atol=1e-10)
    others = dict(right.named_parameters())
    for name, parameter in left.named_parameters():
        if name in others:
            torch.testing.assert_close(parameter.grad, others[name].grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", SLOTS)
@pytest.mark.parametrize(
    "in_chs, out_chs, height, width", [(32, 32, 8, 8), (32, 64, 4, 6), (64, 48, 5, 3), (16, 128, 2, 2)]
)
def test_shape_and_cost(name, in_chs, out_chs, height, width):
    # Counted on "meta", because on a CPU a convolution of ones does Inception's pooling, and pooling does not count.
    module = SLOTS[name](in_chs, out_chs).eval().to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        y = module(images(1, in_chs, height, width).float().to("meta"))
    assert y.shape == (1, out_chs, height, width)
    params = sum(parameter.numel() for parameter in module.parameters())
    counted = cost_of(SLOTS[name](in_chs, out_chs), height, width, in_chs=in_chs)
    assert counted == (params, counter.get_total_flops() / 2)


@pytest.mark.parametrize("name", SLOTS)
def test_output_stays_channels_last(name):
    x = images(2, 32, 6, 6).float().contiguous(memory_format=torch.channels_last)
    y = SLOTS[name](32, 64).to(memory_format=torch.channels_last)(x)
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("row", ROWS)
def test_yaml_states_exactly_the_keywords(row):
    stated = yaml.safe_load((CONF / f"{row}.yaml").read_text(encoding="utf-8"))
    cls = getattr(modules, stated["module"]["_target_"].removeprefix("hybridsep.modules."))
    assert stated["name"] == row
    keywords = {key: value for key, value in stated["module"].items() if key != "_target_"}
    assert keywords == check_keywords(cls, {}, "model.module", positional=2)  # the constructor's defaults


def test_separable_equivalent_is_separable():
    left, right = slot("separable")(6, 10), slot("separable_equivalent")(6, 10).double()
    right.load_state_dict(randomise(left).state_dict())
    assert_same(left, right, images(2, 6, 7, 5))


def test_fast_separable_equivalent_is_its_dense_convolution_forward_and_backward():
    module = use_fast(randomise(slot("separable_equivalent")(6, 10))).train()
    x, parameters = images(2, 6, 7, 5).requires_grad_(), list(module.parameters())
    ours, dense = module(x), F.conv2d(x, module.kernel(), padding=1)
    assert torch.equal(ours, dense)  # the forward pass is the dense convolution itself
    grad = images(*dense.shape)
    for found, wanted in zip(*(torch.autograd.grad(y, [x, *parameters], grad) for y in (ours, dense)), strict=True):
        torch.testing.assert_close(found, wanted)


def test_separable_equivalent_composes_in_float32_under_autocast():
    module = use_fast(SeparableEquivalent(4, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert module.kernel().dtype == torch.float32
        y = module(torch.ones(1, 4, 3, 3, requires_grad=True))
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert {parameter.grad.dtype for parameter in module.parameters()} == {torch.float32}


def test_hybrid_without_leading_pointwise_is_separable():
    left, right = slot("separable")(6, 10), slot("hybrid", leading_pointwise=False)(6, 10).double()
    right.load_state_dict(randomise(left).state_dict())
    assert_same(left, right, images(2, 6, 7, 5))


@pytest.mark.parametrize("out_chs", [6, 10])
def test_hybrid_is_its_parts_and_identity_adds_its_input(out_chs):
    module = randomise(slot("hybrid", identity=True, inner_ratio=1.5)(6, out_chs))
    x = images(2, 6, 5, 5)
    towers = F.conv2d(F.conv2d(x, module.expand.weight), module.depthwise.weight, padding=1, groups=9)
    added = x if out_chs == 6 else F.conv2d(x, module.projection.weight)
    torch.testing.assert_close(module(x), F.conv2d(towers, module.pointwise.weight) + added)


def test_intermediate_activation_stands_between_the_halves():
    module = randomise(Separable(6, 10, intermediate_activation="elu"))
    x = images(2, 6, 5, 5)
    torch.testing.assert_close(module(x), module.pointwise(F.elu(module.depthwise(x))))


def test_reformulated_inception_is_the_simplified_inception():
    whole = randomise(ReformulatedInception(6, 16, segments=4, norm_act=False, inner_ratio=0.5))
    x = images(2, 6, 5, 5)
    towers = zip(whole.pointwise.weight.chunk(4), whole.grouped.weight.chunk(4), strict=True)
    simplified = torch.cat([F.conv2d(F.conv2d(x, reduce), spatial, padding=1) for reduce, spatial in towers], dim=1)
    torch.testing.assert_close(whole(x), simplified)


@pytest.mark.parametrize("in_chs, out_chs", [(128, 128), (64, 128)])
def test_resnext_is_torchvisions_bottleneck(in_chs, out_chs):
    from torchvision.models.resnet import Bottleneck

    ours = randomise(slot("resnext")(in_chs, out_chs))
    projection = None
    if in_chs != out_chs:
        projection = nn.Sequential(nn.Conv2d(in_chs, out_chs, 1, bias=False), nn.BatchNorm2d(out_chs))
    theirs = Bottleneck(in_chs, out_chs // 4, downsample=projection, groups=32, base_width=4).double().eval()
    names = {"reduce": ("conv1", "bn1"), "grouped": ("conv2", "bn2"), "expand": ("conv3", "bn3")}
    names["shortcut"] = ("downsample.0", "downsample.1")
    mapped = {}
    for name, tensor in ours.state_dict().items():
        part, kind, leaf = name.split(".")
        mapped[f"{names[part][kind == 'norm']}.{leaf}"] = tensor
    theirs.load_state_dict(mapped)
    x = images(2, in_chs, 4, 4)
    torch.testing.assert_close(ours(x).relu(), theirs(x))


def test_inception_is_torchvisions_inception_a():
    from torchvision.models.inception import InceptionA

    ours = randomise(slot("inception")(192, 256))
    theirs = InceptionA(192, pool_features=32).double().eval()
    # Ours has a 3x3 where theirs has a 5x5: the 3x3 is put in the middle of it.
    towers = {"tower_1x1": "branch1x1", "tower_pool": "branch_pool"}
    towers |= {"tower_3x3.0": "branch5x5_1", "tower_3x3.1": "branch5x5_2"}
    towers |= {f"tower_double.{index}": f"branch3x3dbl_{index + 1}" for index in range(3)}
    mapped = {}
    for name, tensor in ours.state_dict().items():
        tower, kind, leaf = name.rsplit(".", 2)
        padded = F.pad(tensor, (1, 1, 1, 1)) if (tower, kind) == ("tower_3x3.1", "conv") else tensor
        mapped[f"{towers[tower]}.{'bn' if kind == 'norm' else kind}.{leaf}"] = padded
    theirs.load_state_dict(mapped)
    for layer in itertools.chain(ours.modules(), theirs.modules()):
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-3
    x = images(2, 192, 5, 5)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(use_fast(ours)(x), theirs(x))


@pytest.mark.parametrize("training", [True, False])
def test_fast_inception_is_its_towers_one_by_one(training):
    """Outputs, gradients, running statistics and counters, with BatchNorms that differ from the default."""

    left, right = (Inception(7, 20, inner_ratio=1.0).double() for _ in range(2))
    assert not left.fast and use_fast(right).fast
    right.load_state_dict(randomise(left).state_dict())
    for layer in itertools.chain(left.train(training).modules(), right.train(training).modules()):
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps, layer.momentum = 1e-3, 0.3
    before = {name: tensor.clone() for name, tensor in left.state_dict().items()}
    for seed in (1, 2):
        assert_same(left, right, images(3, 7, 5, 6, seed=seed))
    torch.testing.assert_close(left.state_dict(), right.state_dict())
    for name, tensor in right.named_buffers():
        assert torch.equal(tensor, before[name]) != training


@pytest.mark.parametrize("height, width", [(5, 7), (2, 2), (1, 1)])
def test_average_pool_is_torchs_and_its_own_transpose(height, width):
    x = images(2, 6, height, width)
    inputs = [x.clone().contiguous(memory_format=torch.channels_last).requires_grad_() for _ in range(2)]
    outputs = [AveragePool.apply(inputs[0]), F.avg_pool2d(inputs[1], 3, stride=1, padding=1)]
    torch.testing.assert_close(*outputs)
    assert outputs[0].is_contiguous(memory_format=torch.channels_last)
    for output in outputs:
        output.backward(images(2, 6, height, width, seed=2))
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)


def test_average_pool_differentiates_twice():
    x = images(1, 2, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(AveragePool.apply, x)
    assert torch.autograd.gradgradcheck(AveragePool.apply, x)


def test_average_pool_in_bfloat16_is_rounded_twice_and_without_bias():
    x = images(2, 6, 16, 16).abs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert AveragePool.apply(x.float()).dtype == torch.float32
    exact = F.avg_pool2d(x.bfloat16().double(), 3, stride=1, padding=1)
    rounded = AveragePool.apply(x.bfloat16())
    assert rounded.dtype == torch.bfloat16
    # Half a unit in the last of bfloat16's eight digits is 2 ** -8 at most. A kernel of its 1/9 would be .2 % too high.
    torch.testing.assert_close(rounded.double(), exact, rtol=2**-7 + 2**-14, atol=0)
    torch.testing.assert_close(rounded.double().sum(), exact.sum(), rtol=2e-4, atol=0)


@pytest.mark.gpu
def test_average_pool_on_a_gpu_is_the_cpus():
    """With deterministic algorithms only, forward and backward; nothing of it may raise."""
    x = images(2, 6, 5, 7)
    inputs = [x.clone().contiguous(memory_format=torch.channels_last).to(device) for device in ("cpu", "cuda")]
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        for each in inputs:
            AveragePool.apply(each.requires_grad_()).square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(before)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad.cpu())


def test_separable_is_timms():
    from timm.layers import SeparableConv2d

    ours = randomise(slot("separable")(6, 10))
    theirs = SeparableConv2d(6, 10, 3).double()
    theirs.conv_dw.weight, theirs.conv_pw.weight = ours.depthwise.weight, ours.pointwise.weight
    x = images(2, 6, 5, 5)
    torch.testing.assert_close(ours(x), theirs(x))


def test_resnext_29_8x64d_has_34_4_million_parameters():
    """Xie et al. 2016, Table 7: 34.4 M for CIFAR-10; three stages of three blocks, 64 to 256, 512 and 1024 channels."""
    module = slot("resnext", cardinality=8, bottleneck_ratio=2.0)
    blocks = list(itertools.pairwise([64, *[256] * 3, *[512] * 3, *[1024] * 3]))
    stem, head = 3 * 64 * 9 + 2 * 64, 1024 * 10 + 10
    total = sum(parameters(module(*block)) for block in blocks) + stem + head
    assert [bottleneck(width, 8, 2.0, 1.0) for width in (256, 512, 1024)] == [(512, 8), (1024, 8), (2048, 8)]
    assert total == 34_426_698


@pytest.mark.parametrize("out_chs", range(5, 200, 7))
def test_inception_outputs_add_up(out_chs):
    assert sum(tower_widths(out_chs, 1.0)[:4]) == out_chs


def test_inception_widths_by_hand():
    assert tower_widths(256, 1.0) == (64, 64, 96, 32, 48, 64, 96)
    assert tower_widths(256, 0.5) == (64, 64, 96, 32, 24, 32, 48)
    # 2.5, 2.5, 3.75, 1.25: one more each for the largest remainder (.75) and the first of the two that follow (.5)
    assert tower_widths(10, 1.0)[:4] == (3, 2, 4, 1)


def test_rounding_by_hand():
    assert [scaled(10, ratio) for ratio in (0.01, 0.25, 0.34, 1, 2.06)] == [1, 3, 3, 10, 21]
    assert [scaled(16, ratio, multiple=4) for ratio in (0.1, 0.37, 0.38, 1.0)] == [4, 4, 8, 16]


@pytest.mark.parametrize("limit", [4, 32])
def test_resnext_limit_keeps_more_than_half_of_its_cardinality(limit):
    for out_chs, thousandths in itertools.product((32, 128, 512), range(20, 1500, 37)):
        inner, groups = bottleneck(out_chs, f"<={limit}", 0.5, thousandths / 1000)
        assert inner % groups == 0
        assert limit >= groups > min(inner, limit) / 2


BAD = [
    ("separable", {"intermediate_activation": "gelu"}, "intermediate_activation"),
    ("separable", {"inner_ratio": 1.0}, "inner_ratio"),
    ("separable", {"intermediate_activation": None}, "intermediate_activation"),
    ("separable_equivalent", {"segments": 2}, "segments"),
    ("inception", {"inner_ratio": 0.0}, "inner_ratio"),
    ("inception", {"inner_ratio": float("nan")}, "inner_ratio"),
    ("resnext", {"inner_ratio": float("inf")}, "inner_ratio"),
    ("resnext", {"inner_ratio": True}, "inner_ratio"),
    ("resnext", {"bottleneck_ratio": -1.0}, "bottleneck_ratio"),
    ("resnext", {"cardinality": 24}, "cardinality: 24", "16 and 32"),
    ("resnext", {"cardinality": 100}, "cardinality: 100", "64"),
    ("resnext", {"cardinality": 0}, "cardinality"),
    ("resnext", {"cardinality": "<=0"}, "cardinality"),
    ("resnext", {"cardinality": "32"}, "cardinality=32"),
    ("resnext", {"cardinality": 8.0}, "cardinality=8.0"),
    ("reformulated_inception", {"segments": 3}, "segments"),
    ("reformulated_inception", {"segments": 0}, "segments"),
    ("reformulated_inception", {"norm_act": "yes"}, "norm_act"),
    ("hybrid", {"leading_pointwise": False, "inner_ratio": 0.5}, "inner_ratio"),
    ("hybrid", {"leading_pointwise": False, "leading_norm_act": True}, "leading_norm_act"),
]


@pytest.mark.parametrize("row, changes, key, named", [(*case, ())[:4] for case in BAD])
def test_bad_keywords_are_one_line(row, changes, key, named):
    with refused(*([named] if named else []), key=f"model.module.{key}"):
        slot(row, **changes)(128, 128)


@pytest.mark.parametrize(
    ("row", "on_cpu", "on_gpu"), [("separable", False, False), ("inception", True, True), ("resnext", False, True)]
)
def test_a_fast_way_is_where_it_gains(row, on_cpu, on_gpu):
    module = slot(row)(16, 16)
    assert has_fast(module, torch.device("cpu")) == on_cpu and has_fast(module, torch.device("cuda")) == on_gpu


def test_constructors_have_the_papers_defaults():
    for row in ROWS:
        assert str(slot(row).cls(16, 32)) == str(slot(row)(16, 32))


class WithoutStar(nn.Module):
    def __init__(self, in_chs: int, out_chs: int, ratio: float, kind: str = "a"):
        super().__init__()
        self.conv = nn.Conv2d(in_chs, int(ratio * out_chs), 1)


def test_keywords_of_a_module_need_no_star():
    assert ModuleFactory(WithoutStar, {"ratio": 1.0})(4, 8).conv.out_channels == 8
    with refused(key="model.module.ratio is missing"):
        ModuleFactory(WithoutStar, {})


def test_too_narrow_for_four_towers():
    with refused("at least 5", key="model.module"):
        slot("inception")(8, 3)


def test_slot_with_keywords_leaves_the_first_alone():
    first = slot("hybrid")
    before = copy.copy(first.keywords)
    assert isinstance(first.with_keywords(inner_ratio=0.5)(8, 8), Hybrid)
    assert parameters(first.with_keywords(inner_ratio=0.5)(8, 8)) == 8 * 4 + 4 * 9 + 4 * 8
    assert first.keywords == before
    assert isinstance(slot("resnext")(64, 64), ResNeXt)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch warns of itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_norm_and_relu_compiled_once_are_the_two_layers_of_any_shape(monkeypatch):
    """Outputs, gradients, running statistics and counter, in training and evaluation; Inception's joined ones too."""
    monkeypatch.setattr(fast, "_batch_norm_relu", fast.compiled())  # what a GPU takes
    pairs = [
        (F.relu, nn.BatchNorm2d(chs).train(training), (5, chs, side, side))
        for chs, side, training in ((4, 6, True), (8, 3, True), (8, 3, False))
    ]
    for chs, side, training in ((7, 6, True), (9, 4, False)):
        pairs.append((None, Inception(chs, 20).train(training), (5, chs, side, side)))
    for act, left, shape in pairs:
        right = use_fast(copy.deepcopy(left))
        x, results = images(*shape).float(), []
        for module in (left, right):
            y = x.clone().requires_grad_()
            if act is None:
                output = module(y)
            else:
                output = act(module(y)) if module is left else norm_relu(module, y)
            (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
            results.append((output, y.grad, [one.grad for one in module.parameters()], list(module.buffers())))
        torch.testing.assert_close(*results, rtol=1e-3, atol=1e-4)
