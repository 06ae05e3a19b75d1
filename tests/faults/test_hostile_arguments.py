"""Words that mean harm, `trial=` and the value of any key: each is used or refused in one clear line."""

import os
import string
from pathlib import Path

import pytest
from fault_injection import SMALL
from hostile import cases
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from refusals import check_refused, names, one_line

from hybridsep import config
from hybridsep.config.identity import identity
from hybridsep.config.keys import keys
from hybridsep.errors import ConfigError
from hybridsep.launch.explain import explain
from hybridsep.runs import records

SPECIAL = [
    "",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "-1",
    "0",
    "9" * 5000,
    "null",
    "true",
    "[]",
    "{}",
    "???",
    "${seed}",
    "..",
    "\x00",
]
huge = st.integers(20, 300).map(lambda digits: 10**digits)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(SPECIAL), huge
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=6)


def shown(trials: list[int], draw: st.DataObject) -> str:
    """Return trials as a person may write them: rising runs as ranges, or not."""
    parts, at = [], 0
    while at < len(trials):
        end = at
        while end + 1 < len(trials) and trials[end + 1] == trials[end] + 1:
            end += 1
        if end > at and draw.draw(st.booleans()):
            parts.append(f"{trials[at]}..{trials[end]}")
            at = end + 1
        else:
            parts.append(str(trials[at]))
            at += 1
    return parts[0] if len(parts) == 1 and draw.draw(st.booleans()) else f"[{','.join(parts)}]"


@cases(400)
@given(st.lists(st.integers(0, config.MAX_TRIAL), min_size=1, max_size=12, unique=True), st.data())
def test_trials_are_read_as_they_are_written(trials, data):
    trials = trials if data.draw(st.booleans()) else sorted(trials)
    text = shown(trials, data)
    assert config.parse_trials(OverridesParser.create().parse_override(f"trial={text}").value()) == trials


@cases(1500)
@given(st.one_of(values, st.text("0123456789.,[]- ", max_size=12), st.integers(0, 20000)))
def test_any_value_names_trials_or_is_refused(value):
    try:
        trials = config.parse_trials(value)
    except ConfigError as error:
        assert str(error).startswith("trial=") and names(str(error), "0..9")
    else:
        assert trials and len(set(trials)) == len(trials) and all(0 <= trial <= config.MAX_TRIAL for trial in trials)


@cases(400)
@given(st.text(string.printable, max_size=25))
def test_any_typed_trial_is_named_or_refused(text):
    try:
        value = OverridesParser.create().parse_override(f"trial={text}").value()
        config.parse_trials(value)
    except (HydraException, ConfigError) as error:
        assert one_line(explain(error)) or "\x0b" in text or "\x0c" in text


@pytest.fixture(scope="module")
def composed():
    config.register()
    with initialize_config_dir(str(config.config_dir()), **config.hydra_defaults()):
        return compose("config", list(SMALL))


@cases(600)
@given(st.sampled_from(sorted(set(keys(config.Config)))), values)
def test_any_value_of_any_key_is_used_or_refused(composed, key, value):
    changed = composed.copy()
    try:
        OmegaConf.update(changed, key, value, merge=False)
        resolved = config.resolve(changed)
        assert len(identity(resolved, 0)) == 16
    except (ConfigError, OmegaConfBaseException) as error:
        assert "\n" not in explain(error)
    else:
        folder = records.run_folder(Path("/results"), resolved.study, resolved.row, 0)
        assert Path(os.path.normpath(folder)) == folder and len(folder.parts) == 6


@pytest.mark.parametrize("key", ["schedule.learning_rate", "schedule.weight_decay", "schedule.decay_factor"])
def test_numbers_that_are_none_are_refused(run, tmp_path, key):
    for number in ("inf", "nan"):
        check_refused(run(*SMALL, f"{key}={number}"), key=f"{key}={number}")
    assert not (tmp_path / "results").exists()
