"""Identities of the Inception modules: towers on the left, one convolution for all of them on the right."""

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridsep.equivalence import mappings
from hybridsep.equivalence.forms import Channels, Form, Function, Shapes, Weights, conv, module, norm, per_channel
from hybridsep.modules import Inception, ReformulatedInception
from hybridsep.modules.fast import use_fast
from hybridsep.modules.inception import AveragePool


def _reformulated(chs: Channels, segments: int, *, norm_act: bool) -> Function:
    return module(
        lambda: ReformulatedInception(chs.in_chs, chs.out_chs, segments=segments, norm_act=norm_act, inner_ratio=1.0)
    )[1]


def simplified(chs: Channels, *, norm_act: bool = False) -> Form:
    """Towers of a 1x1 and a 3x3; with `norm_act` BatchNorm and ReLU stand between them."""
    width, towers, norms = chs.out_chs // chs.groups, range(chs.groups), ("norm.weight", "norm.bias")
    shapes: Shapes = {f"{index}.pointwise": (width, chs.in_chs, 1, 1) for index in towers}
    shapes |= {f"{index}.spatial": (width, width, 3, 3) for index in towers}
    if norm_act:
        shapes |= {f"{index}.{name}": (width,) for index in towers for name in norms}

    def tower(w: Weights, x: Tensor, index: int) -> Tensor:
        y = conv(x, w[f"{index}.pointwise"])
        return conv(norm(y, w, f"{index}.norm") if norm_act else y, w[f"{index}.spatial"])

    def mapping(w: Weights) -> Weights:
        pointwise, spatial = mappings.simplified_inception_to_reformulated(
            [(w[f"{index}.pointwise"], w[f"{index}.spatial"]) for index in towers]
        )
        if not norm_act:
            return {"pointwise.weight": pointwise, "grouped.weight": spatial}
        joined = {f"pointwise.{name}": torch.cat([w[f"{index}.{name}"] for index in towers]) for name in norms}
        return {"pointwise.conv.weight": pointwise, "grouped.weight": spatial, **joined}

    def left(w: Weights, x: Tensor) -> Tensor:
        return torch.cat([tower(w, x, index) for index in towers], dim=1)

    return Form(chs.in_chs, shapes, left, _reformulated(chs, chs.groups, norm_act=norm_act), mapping)


def extreme(chs: Channels) -> Form:
    return Form(
        chs.in_chs,
        {"pointwise.weight": (chs.out_chs, chs.in_chs, 1, 1), "kernels": (chs.out_chs, 3, 3)},
        lambda w, x: per_channel(conv(x, w["pointwise.weight"]), w["kernels"]),
        _reformulated(chs, chs.out_chs, norm_act=False),
        lambda w: {"pointwise.weight": w["pointwise.weight"], "grouped.weight": w["kernels"].unsqueeze(1)},
    )


def pool_last(chs: Channels) -> Form:
    """The order of Inception-v3 on the left, that of the row `inception` on the right: neither has a bias."""
    return Form(
        chs.in_chs,
        {"pointwise.weight": (chs.out_chs, chs.in_chs, 1, 1)},
        lambda w, x: conv(F.avg_pool2d(x, 3, stride=1, padding=1), w["pointwise.weight"]),
        lambda w, x: AveragePool.apply(conv(x, w["pointwise.weight"])),
        dict,
    )


def tower_by_tower(chs: Channels) -> Form:
    """Inception-v3's four towers, each by itself; the row joins convolutions and BatchNorms and pools last."""
    out_chs = chs.out_chs + 4  # each of the four towers has an output
    shapes, right = module(lambda: use_fast(Inception(chs.in_chs, out_chs, inner_ratio=1.0)))

    def left(w: Weights, x: Tensor) -> Tensor:
        def layer(name: str, y: Tensor) -> Tensor:
            return norm(conv(y, w[f"{name}.conv.weight"]), w, f"{name}.norm")

        triple = layer("tower_3x3.1", layer("tower_3x3.0", x))
        double = layer("tower_double.2", layer("tower_double.1", layer("tower_double.0", x)))
        pooled = layer("tower_pool", F.avg_pool2d(x, 3, stride=1, padding=1))
        return torch.cat([layer("tower_1x1", x), triple, double, pooled], dim=1)

    return Form(chs.in_chs, shapes, left, right, dict)


def canonical(chs: Channels) -> Form:
    """Inception-v3's towers, here without BatchNorm and ReLU, which would only be in the way of a grouped form.

    The right side is generous: any dense 3x3 kernel, of which every 1x1 with a grouped 3x3 behind it is a special case.
    The mapping composes each tower's kernel and keeps its 3x3 centre, the nearest 3x3 for uncorrelated pixels; the
    third tower's field is 5x5. `bound`: two images, zero in a 3x3 window and opposite around it, are the same to any
    form of field 3x3 in the middle of the window, linear or not. The towers' answers there are opposite, so the form
    is off by at least their size on one of the two. The pixels around the window are chosen to make it large.
    """
    out_chs = chs.out_chs + 4  # each of the four towers has an output
    names, _ = module(lambda: Inception(chs.in_chs, out_chs, inner_ratio=1.0))
    shapes = {name: shape for name, shape in names.items() if name.endswith("conv.weight")}

    def chain(w: Weights, x: Tensor, tower: str, count: int) -> Tensor:
        for index in range(count):
            x = conv(x, w[f"{tower}.{index}.conv.weight"])
        return x

    def left(w: Weights, x: Tensor) -> Tensor:
        single, pool = w["tower_1x1.conv.weight"], w["tower_pool.conv.weight"]
        pooled = F.avg_pool2d(x, 3, stride=1, padding=1)
        long = chain(w, x, "tower_double", 3)
        return torch.cat([conv(x, single), chain(w, x, "tower_3x3", 2), long, conv(pooled, pool)], dim=1)

    def composed(w: Weights, tower: str) -> Tensor:
        """The 1x1 of a tower and the 3x3 after it as one 3x3."""
        reduce, spatial = (w[f"{tower}.{index}.conv.weight"] for index in range(2))
        return torch.einsum("omkl,mc->ockl", spatial, reduce[:, :, 0, 0])

    def mapping(w: Weights) -> Weights:
        # Correlating with one kernel and then another is correlating with their full convolution.
        double = F.conv2d(
            composed(w, "tower_double").transpose(0, 1), w["tower_double.2.conv.weight"].flip(2, 3), padding=2
        )
        towers = [
            F.pad(w["tower_1x1.conv.weight"], (1, 1, 1, 1)),
            composed(w, "tower_3x3"),
            double.transpose(0, 1)[:, :, 1:-1, 1:-1],
            w["tower_pool.conv.weight"].expand(-1, -1, 3, 3) / 9,
        ]
        return {"weight": torch.cat(towers)}

    def bound(w: Weights, x: Tensor, other: Tensor) -> float:
        row, column = (side // 2 for side in x.shape[2:])
        image = x[:1].clone().requires_grad_()
        middle = left(w, image)[0, :, row, column]
        response = torch.cat([torch.autograd.grad(each, image, retain_graph=True)[0] for each in middle])
        response[:, :, row - 1 : row + 2, column - 1 : column + 2] = 0
        strongest = response[response.abs().sum(dim=(1, 2, 3)).argmax()]
        y = left(w, strongest.sign()[None])
        return (y[0, :, row, column].abs().max() / y.abs().max()).item()

    return Form(chs.in_chs, shapes, left, lambda w, x: conv(x, w["weight"]), mapping, bound)
