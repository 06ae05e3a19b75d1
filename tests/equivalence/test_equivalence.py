"""The identities of section 3; that a wrong mapping is noticed."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from made_networks import images, randomise, slot

from hybridsep.equivalence import __main__ as program
from hybridsep.equivalence.compare import REFERENCE, check, parameters, relative_difference
from hybridsep.equivalence.identities import IDENTITIES, Identity
from hybridsep.equivalence.mappings import (
    grouped_to_dense,
    resnext_to_towers,
    separable_to_dense,
    simplified_inception_to_reformulated,
)


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
