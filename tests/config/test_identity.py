"""An identity is what can change the science, and a record keeps no places of one machine."""

import copy
import dataclasses

import pytest
from omegaconf import OmegaConf

from hybridsep import config
from hybridsep.config import identity


def test_a_configuration_is_frozen_and_has_the_identity_of_its_dictionary(compose):
    composed = compose("precision=bfloat16", "threads=3")
    resolved = config.resolve(composed)
    with pytest.raises(dataclasses.FrozenInstanceError):
        resolved.schedule.epochs = 3
    as_dictionary = OmegaConf.to_container(composed, resolve=True)
    assert config.plain(resolved) == as_dictionary
    # If this number changes, nobody's finished trials are found again. A new key needs a default in the schema that
    # means "as before": such a key, at its default, is not part of the identity.
    assert identity.identity(resolved, 0) == identity.identity(as_dictionary, 0) == "77013266a36869f3"


def test_identity_is_the_science(compose):
    plain = config.resolve(compose())
    same = config.resolve(
        compose("study=x", "row=y", "results=r", "data_dir=d", "device=cpu", "threads=1", "max_minutes=1", "trial=7")
    )
    assert identity.identity(plain, 0) == identity.identity(same, 0)
    other = [
        "seed=1",
        "paired=false",
        "match=params",
        "precision=float32",
        "schedule.epochs=189",
        "schedule.weight_decay=0",
        "augmentation.padding=3",
        "size.depth=2",
        "model=hybrid",
        "data.mean=[0.5,0.5,0.5]",
    ]
    identities = {identity.identity(plain, 0), identity.identity(plain, 1)}
    identities |= {identity.identity(config.resolve(compose(override)), 0) for override in other}
    assert len(identities) == len(other) + 2


def test_a_key_at_its_schema_default_is_not_part_of_the_identity(compose):
    plain = config.plain(config.resolve(compose()))
    before = copy.deepcopy(plain)
    del before["augmentation"]["crop"]
    assert plain["augmentation"]["crop"] is None
    assert identity.identity(before, 0) == identity.identity(plain, 0)
    plain["augmentation"]["crop"] = 28
    assert identity.identity(before, 0) != identity.identity(plain, 0)


def test_differences_name_the_keys(compose):
    old, new = config.resolve(compose()), config.resolve(compose("schedule.epochs=5", "study=other"))
    assert identity.differences(old, new) == ["schedule.epochs 190 -> 5"]


def test_records_keep_no_places(compose):
    words = ("data=imagefolder", "data.path=/home/me/birds.tar", "results=/tmp/r", "data_dir=/tmp/d")
    plain = config.plain(config.resolve(compose(*words)))
    assert "/" not in "".join(str(value) for value in identity.flatten(identity.without_places(plain)).values())


def test_places_in_a_source_of_ones_own_are_not_kept_either(compose):
    tree = config.plain(config.resolve(compose("data=synthetic")))
    tree["data"]["source"] |= {
        "annotations": "/home/me/a.json",
        "parts": ["/b/c", {"d": "e/f"}],
        "url": "https://x.org/y",
    }
    kept = identity.without_places(tree)["data"]["source"]
    assert (kept["annotations"], kept["parts"], kept["url"]) == ("a.json", ["c", {"d": "f"}], "https://x.org/y")
    # Only the place differs from what a record kept, so no key is named.
    assert identity.differences(identity.without_places(tree), tree) == []


def test_a_record_holds_the_words_without_places(compose):
    places = {
        "model=variant/dense": "model=variant/dense",
        "+data.source.x=1": "+data.source.x=1",
        "results='/home/me/r'": "results=r",
        "data_dir=../d/e": "data_dir=e",
        "data.source={root:/home/me/a,x:'~/my b/c'}": "data.source={root:a,x:'c'}",
        "hydra.searchpath=[file:///home/me/conf,pkg://mine]": "hydra.searchpath=[conf,pkg://mine]",
        "trial=0..9": "trial=0..9",
    }
    resolved = config.resolve(compose(), places)
    kept = list(places.values())
    assert identity.overrides_without_places(resolved) == kept
    assert identity.identity(resolved, 0) == identity.identity(config.resolve(compose()), 0)
    assert "overrides" not in identity.without_places(config.plain(resolved))
