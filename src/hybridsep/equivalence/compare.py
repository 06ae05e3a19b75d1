"""How far apart the two sides of an identity are: outputs and gradients, in float64, over random shapes and seeds."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hybridsep.equivalence.forms import Channels, Form, Function, Weights
from hybridsep.equivalence.identities import Identity
from hybridsep.runs import seeds

# Differences are shares of the largest value compared. Float64 rounding stays below 1e-12 in these sizes.
TOLERANCE = 1e-10
# What must not hold has to be off by at least this much in every case.
LARGE = 1e-2
CASES_PER_SEED = 4
# One layer of the paper-size network, for which parameters are counted.
REFERENCE = Channels(128, 256, 32)


@dataclass(frozen=True)
class Result:
    """A line of the table.

    `forward` and `gradient`: the largest difference over the cases where the identity must hold, the smallest where it
    must not. `bound`: the smallest error over the cases that any weights would have (None where the identity holds).
    `parameters`: of the left and the right side for `REFERENCE`.
    """

    identity: str
    source: str
    holds: bool
    cases: int
    forward: float
    gradient: float
    bound: float | None
    parameters: tuple[int, int]
    passed: bool


def check(identity: Identity, count: int) -> Result:
    """Compare both sides for the seeds 0 to `count` - 1, `CASES_PER_SEED` random shapes each."""
    differences, bounds = [], []
    for seed in range(count):
        for case in range(CASES_PER_SEED):
            generator = torch.Generator().manual_seed(seeds.seed(seed, "equivalence", identity.name, case))
            chs, batch, height, width = _shape(case, generator, smallest=1 if identity.holds else 5)
            form = identity.form(chs)
            weights = {name: draw(shape, generator) for name, shape in form.shapes.items()}
            x, other = (
                torch.randn(batch, form.in_chs, height, width, dtype=torch.float64, generator=generator)
                for _ in range(2)
            )
            differences.append(compare(form, weights, x, generator))
            if form.bound is not None:
                bounds.append(form.bound(weights, x, other))
    # Written so that a NaN fails.
    if identity.holds:
        extremes = np.max(differences, axis=0)
        passed = all(each <= TOLERANCE for each in extremes)
    else:
        extremes = np.min(differences, axis=0)
        passed = all(each >= LARGE for each in (*extremes, *bounds))
    forward, gradient = map(float, extremes)
    return Result(
        identity.name,
        identity.source,
        identity.holds,
        len(differences),
        forward,
        gradient,
        min(bounds, default=None),
        parameters(identity.form(REFERENCE)),
        passed,
    )


def compare(form: Form, weights: Weights, x: Tensor, generator: torch.Generator) -> tuple[float, float]:
    """Return the largest difference of the outputs and of the gradients, each as a share of the largest value.

    Gradients are those of a random linear function of the output, with respect to x and to the left side's weights. The
    right side's own weights get their own gradients first, which the transpose of the mapping then pulls back.
    """
    weights = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    mapped = form.mapping(weights)
    right_weights = {name: weight.detach().clone().requires_grad_() for name, weight in mapped.items()}
    left, at_left = _gradients(form.left, weights, x, generator.clone_state())
    right, at_right = _gradients(form.right, right_weights, x, generator.clone_state())
    # What the mapping makes of nothing (the identity of a leading 1x1) has no weight to answer to.
    pairs = [pair for pair in zip(mapped.values(), at_right[1:], strict=True) if pair[0].requires_grad]
    pulled = torch.autograd.grad([pair[0] for pair in pairs], list(weights.values()), [pair[1] for pair in pairs])
    return relative_difference([left], [right]), relative_difference(at_left, [at_right[0], *pulled])


def _gradients(
    function: Function, weights: Weights, x: Tensor, generator: torch.Generator
) -> tuple[Tensor, list[Tensor]]:
    x = x.clone().requires_grad_()
    y = function(weights, x)
    cotangent = torch.randn(y.shape, dtype=y.dtype, generator=generator)
    return y.detach(), list(torch.autograd.grad(y, [x, *weights.values()], cotangent))


def relative_difference(left: list[Tensor], right: list[Tensor]) -> float:
    """Return the largest |left - right| over all tensors, divided by the largest |value| (0 where all are 0)."""
    # Stacked, because Python's max drops a NaN.
    difference = torch.stack([(a - b).abs().max() for a, b in zip(left, right, strict=True)]).max().item()
    largest = torch.stack([each.abs().max() for each in left + right]).max().item()
    return difference / largest if largest else difference


def draw(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return random float64 weights: kernels normal with variance 1 / fan-in, vectors (BatchNorm's) standard normal."""
    weight = torch.randn(shape, dtype=torch.float64, generator=generator)
    return weight / weight[0].numel() ** 0.5 if len(shape) > 1 else weight


def parameters(form: Form) -> tuple[int, int]:
    """Return the numbers of parameters of the left and of the right side."""
    weights = {name: torch.zeros(shape) for name, shape in form.shapes.items()}
    left, right = (sum(weight.numel() for weight in side.values()) for side in (weights, form.mapping(weights)))
    return left, right


def _shape(case: int, generator: torch.Generator, *, smallest: int) -> tuple[Channels, int, int, int]:
    """Draw widths, batch and image size; the first case of a seed has as many outputs as inputs."""

    def whole(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    groups = whole(2, 4)
    out_chs = groups * whole(1, 4)
    in_chs = out_chs if case == 0 else whole(2, 12)
    return Channels(in_chs, out_chs, groups), whole(2, 3), whole(smallest, 9), whole(smallest, 9)
