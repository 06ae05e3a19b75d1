"""The identities of section 3; that a wrong mapping is noticed."""

from dataclasses import replace

import pytest
import torch

from hybridsep.equivalence.compare import REFERENCE, check, parameters, relative_difference
from hybridsep.equivalence.identities import IDENTITIES, Identity


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
