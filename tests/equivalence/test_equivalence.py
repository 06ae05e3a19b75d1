"""The identities of section 3; that a wrong mapping is noticed; trained networks that keep their predictions."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from made_networks import DENSE, SEPARABLE, images, randomise, seeded, slot
from torch import nn

from hybridsep.equivalence import __main__ as program
from hybridsep.equivalence.compare import REFERENCE, check, parameters, relative_difference
from hybridsep.equivalence.identities import IDENTITIES, Identity
from hybridsep.equivalence.mappings import (
    convert_separable,
    grouped_to_dense,
    resnext_to_towers,
    separable_to_dense,
    simplified_inception_to_reformulated,
)
from hybridsep.networks import Stack
from hybridsep.networks.darknet import DarkNet
from hybridsep.networks.fractalnet import FractalNet
from hybridsep.train.optimiser import initialise


def named(part: str) -> Identity:
    (found,) = (identity for identity in IDENTITIES if part in identity.name)
    return found


def broken(identity: Identity, **changes) -> Identity:
    """The identity with a part of its form replaced by what `changes[part]` makes of it."""
    return replace(
        identity,
        form=lambda chs: replace(
            form := identity.form(chs), **{part: f(getattr(form, part)) for part, f in changes.items()}
        ),
    )


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.name)
def test_identity(identity):
    result = check(identity, 2)
    assert result.passed
    assert result.cases == 8
    if identity.holds:
        assert max(result.forward, result.gradient) < 1e-12
    else:
        # Far above the limit: the nearest form is off by a tenth of the largest output, any form by a twentieth.
        assert min(result.forward, result.gradient) > 0.1
        assert result.bound > 0.05


def test_parameters_of_both_sides_by_hand():
    """128 to 256 channels, 32 groups."""
    separable, dense = 128 * 9 + 128 * 256, 128 * 256 * 9
    assert parameters(named("composed kernel").form(REFERENCE)) == (separable, dense)
    assert parameters(named("leading 1x1").form(REFERENCE)) == (separable, separable + 128**2)
    assert parameters(named("block-diagonal").form(REFERENCE)) == (dense // 32, dense)
    assert parameters(named("sum of one tower").form(REFERENCE)) == (separable, separable)


def test_a_wrong_mapping_is_noticed():
    result = check(
        broken(named("composed kernel"), mapping=lambda f: lambda w: {n: each.mT for n, each in f(w).items()}), 1
    )
    assert not result.passed
    assert min(result.forward, result.gradient) > 0.1


def test_a_wrong_gradient_is_noticed_where_outputs_agree():
    def half_gradient(mapping):
        return lambda w: {name: (each + each.detach()) / 2 for name, each in mapping(w).items()}

    result = check(broken(named("composed kernel"), mapping=half_gradient), 1)
    assert not result.passed
    assert result.forward < 1e-12
    assert result.gradient > 0.1


def test_nan_never_passes():
    for identity in (named("composed kernel"), named("ReLU between =")):
        result = check(broken(identity, right=lambda f: lambda w, x: f(w, x) * torch.nan), 1)
        assert not result.passed
        assert result.forward != result.forward


def test_what_must_not_hold_fails_when_it_does():
    identity = replace(named("composed kernel"), holds=False)
    assert not check(identity, 1).passed


def test_relative_difference_by_hand():
    left, right = [torch.tensor([1.0, -4.0]), torch.tensor([0.0])], [torch.tensor([1.0, -4.0]), torch.tensor([1.0])]
    assert relative_difference(left, right) == 0.25
    assert relative_difference([torch.zeros(2)], [torch.zeros(2)]) == 0


def test_program_prints_the_table(capsys):
    assert program.main(["seeds=1"]) == 0
    text = capsys.readouterr().out
    for identity in IDENTITIES:
        assert (identity.name if identity.holds else identity.name.replace(" = ", " ≠ ")) in text
    assert text.count("holds") == len(IDENTITIES) - 2
    assert text.count("does not hold, rightly") == 2
    assert "33,920 | 294,912" in text


def test_program_as_json(capsys):
    assert program.main(["--json", "seeds=1"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["passed"], result["seeds"]) == (True, 1)
    assert [line["identity"] for line in result["identities"]] == [identity.name for identity in IDENTITIES]
    assert all(line["cases"] == 4 and line["passed"] for line in result["identities"])


def test_program_fails_with_an_identity(capsys, monkeypatch):
    wrong = broken(named("composed kernel"), mapping=lambda f: lambda w: {n: -each for n, each in f(w).items()})
    monkeypatch.setattr("hybridsep.equivalence.identities.IDENTITIES", (*IDENTITIES[:2], wrong))
    assert program.main(["seeds=1"]) == 1
    assert "FAILED: differs" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argument", ["seeds=0", "seeds=1001", "seeds=", "seeds=-1", "seeds=1..3", "seed=1", "--yaml", ""]
)
def test_bad_arguments_are_one_line(argument, capsys):
    assert program.main([argument]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert argument.partition("=")[0] in captured.err
    assert "from 1 to 1000" in captured.err or "seeds?" in captured.err or "--help" in captured.err


def test_program_starts_as_a_module_and_ends_with_its_status():
    command = [sys.executable, "-W", "error", "-m", "hybridsep.equivalence", "seeds=none"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hybridsep.equivalence: seeds=none is not allowed")


def test_composed_kernel_by_hand():
    depthwise = torch.tensor([[[[1.0, 2.0]]], [[[3.0, 4.0]]]])
    pointwise = torch.tensor([[10.0, 100.0]])[..., None, None]
    assert separable_to_dense(depthwise, pointwise).tolist() == [[[[10.0, 20.0]], [[300.0, 400.0]]]]


def test_block_diagonal_by_hand():
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[..., None, None]
    assert grouped_to_dense(weight, 2).flatten(1).tolist() == [[1, 2, 0, 0], [0, 0, 3, 4]]
    with pytest.raises(ValueError, match="groups: 3"):
        grouped_to_dense(weight, 3)


def test_unequal_towers_have_no_grouped_form():
    towers = [(torch.zeros(width, 3, 1, 1), torch.zeros(width, width, 3, 3)) for width in (2, 3)]
    with pytest.raises(ValueError, match="2 different shapes"):
        simplified_inception_to_reformulated(towers)


def test_resnext_towers_keep_running_statistics():
    """In evaluation too: the towers' BatchNorm has the module's own running statistics, cut along with the weights."""
    module, x = randomise(slot("resnext", cardinality=4)(16, 16)), images(2, 16, 5, 5)
    towers = resnext_to_towers(module.state_dict(), 4)

    def norm(y, prefix):
        leaves = (towers[f"{prefix}.norm.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(y, *leaves)

    total = 0
    for prefix in (f"towers.{index}" for index in range(4)):
        y = F.relu(norm(F.conv2d(x, towers[f"{prefix}.reduce.conv.weight"]), f"{prefix}.reduce"))
        y = F.relu(norm(F.conv2d(y, towers[f"{prefix}.spatial.conv.weight"], padding=1), f"{prefix}.spatial"))
        total = total + F.conv2d(y, towers[f"{prefix}.expand.conv.weight"])
    torch.testing.assert_close(module(x), norm(total, "expand") + x)
    with pytest.raises(ValueError, match="cardinality: 3"):
        resnext_to_towers(module.state_dict(), 3)


def stack(module) -> nn.Module:
    return Stack(
        module,
        in_chs=3,
        classes=10,
        widths=(8, 16),
        depth=2,
        stem_stride=1,
        act_layer="relu",
        dropout=0.1,
        residual=False,
    )


def fractalnet(module) -> nn.Module:
    return FractalNet(
        module,
        in_chs=3,
        classes=10,
        widths=(8, 16),
        columns=2,
        dropout=(0.0, 0.1),
        drop_path=0.15,
        global_share=0.5,
        evaluation_column="all",
    )


def darknet(module) -> nn.Module:
    return DarkNet(
        module,
        in_chs=3,
        classes=10,
        variant="cifar",
        width_ratio=0.0625,
        act_layer="leaky_relu",
        head_act_layer="leaky_relu",
        dropout=0.1,
    )


def examples(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ten random patterns under as much noise; a class each."""
    labels = torch.arange(count) % 10
    return (images(count, 3, 12, 12, seed=seed) + images(10, 3, 12, 12, seed=0)[labels]).float(), labels


def trained(network: nn.Module) -> nn.Module:
    """Train for 30 steps on random data and check that the training did something."""
    initialise(network, study_seed=0, trial=0)
    seeded(network).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    x, labels = examples(40, seed=1)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = F.cross_entropy(network(x), labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2
    return network.eval()


@pytest.mark.parametrize("build", [stack, fractalnet, darknet])
def test_a_trained_network_keeps_its_predictions(build):
    network, x = trained(build(SEPARABLE)), examples(50, seed=2)[0].double()
    expected = network.double()(x)
    assert len(expected.argmax(1).unique()) > 2
    for row, module in [
        ("separable_equivalent", slot("separable_equivalent")),
        ("hybrid", slot("hybrid")),
        ("dense", DENSE),
    ]:
        other = build(module).double().eval()
        other.load_state_dict(convert_separable(network.state_dict(), row))
        logits = other(x)
        torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
        assert torch.equal(logits.argmax(1), expected.argmax(1))


def test_converted_state_is_a_copy_of_its_own():
    network = stack(SEPARABLE)
    converted = convert_separable(network.state_dict(), "separable_equivalent")
    converted["head.bias"].fill_(7.0)
    assert not (network.head.bias == 7).any()


@pytest.mark.parametrize(
    "row, module, named",
    [
        ("resnext", SEPARABLE, "separable_equivalent, hybrid, dense"),
        ("dense", DENSE, "not of a network"),
        ("dense", slot("hybrid"), "not of a network"),
    ],
)
def test_only_separable_networks_are_converted(row, module, named):
    with pytest.raises(ValueError, match=named):
        convert_separable(stack(module).state_dict(), row)
