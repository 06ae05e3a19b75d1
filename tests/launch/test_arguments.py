"""Command lines that nobody should type: each does what it says, or ends in one line and status 2 before training."""

import re
import sys

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import check_refused
from typed_commands import typed

from hybridsep import config
from hybridsep.config import Config
from hybridsep.config.keys import keys
from hybridsep.launch.arguments import prepare

SEEDS = [
    ["+x="],
    ["hydra=x"],
    ["--config-name", "nothing"],
    ["--config-dir", "nowhere"],
    ["-m"],
    ["-m", "-m", "trial=0,1"],
    ["hydra/launcher=nothing"],
    ["--cfg"],
    ["é=1"],
    [""],
    ["trials_at_once=100000"],
    ["trial=[0,"],
    ["schedule=cpu,paper"],
    ["hydra.mode=MULTIRUN", "model=,"],
    ["++model.network=3"],
    ["~schedule.epochs"],
    ["schedule.epochs=${nothing}"],
    ["model.module=null"],
    ["data.source=null"],
    ["study=../elsewhere"],
    ["results="],
    ["experiment=nothing"],
    ["--experimental-rerun", "x"],
    ["--multirun", "--info"],
    ["hydra.sweeper=null"],
    ["hydra.run.dir=null"],
]


def check(words: list[str], place) -> None:
    status, said = typed(words, place)
    lines = [line for line in said.splitlines() if line.strip()]
    assert "Traceback" not in said, (words, said)
    assert status in (0, 2), (words, status, said)
    if status == 2:
        assert len(lines) == 1 and lines[0].startswith("hybridsep: "), (words, said)
    assert not list(place.iterdir()), words


@pytest.mark.parametrize("words", SEEDS, ids=" ".join)
def test_what_was_once_typed(words, tmp_path):
    check(words, tmp_path)


def test_a_keyword_that_no_file_has_is_set_in_every_row_and_a_key_that_there_is_not_is_named(tmp_path):
    keywords = ["model.module.inner_ratio=0.5", "model.network.depth=2"]
    assert typed(["-m", "model=inception,resnext", *keywords], tmp_path)[0] == 0
    said = typed(["epochs=5", "model.nmae=x", "schedule.lr=1"], tmp_path)
    meant = {"epochs": "schedule.epochs", "model.nmae": "model.name", "schedule.lr": "schedule.learning_rate"}
    for key, other in meant.items():
        check_refused(said, other, key=key)


def test_files_of_ones_own(tmp_path):
    def own(name: str, content: str | bytes) -> None:
        path = tmp_path / "own" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def refused(*named: str, words: str = "schedule=paper", key: str = "") -> None:
        check_refused(typed(["--config-dir=own", words], tmp_path), *named, key=key)

    for name, content, where in (
        ("broken", "a: [1\nb: }\n", ("line 2",)),
        ("twice", "a: 1\na: 2\n", ("line 2", "key a")),
        ("latin", "a: \xe9\n".encode("latin-1"), ()),
        ("there", "defaults:\n  - there\n", ("itself", "defaults")),
        ("anchor", "name: &a [*a]\n", ("itself", "alias")),
    ):
        own(f"schedule/{name}", content)
        refused(f"own/schedule/{name}.yaml", *where)
        (tmp_path / f"own/schedule/{name}.yaml").unlink()
    own("schedule/there", "defaults:\n  - back\n")
    own("schedule/back", "defaults:\n  - there\n")
    refused("itself", "defaults", words="schedule=there")
    (tmp_path / "own/schedule/there.yaml").unlink()
    own("experiment/both", "# @package _global_\ndefaults:\n  - override /model: [inception,resnext]\n")
    refused("a list of files for model", words="experiment=both")
    own("experiment/number", "# @package _global_\nstudy: 2026_11_26\n")
    refused("quotes", words="experiment=number", key="study=20261126")
    own("model/nameless", "module: {_target_: hybridsep.modules.dense.Dense}\nnetwork: {}\n")
    refused(words="model=nameless", key="model.name is missing")
    own("site/of/another/program", "!!python/name:x")
    own("mkdocs", "a: [")
    assert typed(["--config-dir=own", "schedule=paper"], tmp_path)[0] == 0
    own("schedule/short", "name: short\n")  # the name of a packaged file
    refused("own/schedule/short.yaml")


@pytest.mark.parametrize(
    ("words", "prepared"),
    [
        (["study=2026_11_26"], ["study='2026_11_26'"]),
        (["row=1.10"], ["row='1.10'"]),
        (["row=1e3"], ["row='1e3'"]),
        (["study=true"], ["study='true'"]),
        (["model=1.10"], ["model='1.10'"]),
        (["results=2026"], ["results='2026'"]),
        (["results=~/x"], ["results='~/x'"]),
        (["data.path=a=b, [c].tar"], ["data.path='a=b, [c].tar'"]),
        (["study=it's"], [r"study='it\'s'"]),
        (["-m", "row=a,1.10"], ["--multirun", "row=a,'1.10'"]),
        (["row=lr-${schedule.learning_rate}"], ["row=lr-${schedule.learning_rate}"]),
        (["schedule.epochs=3"], ["schedule.epochs=3"]),
        (["model.module.inner_ratio=0.5"], ["++model.module.inner_ratio=0.5"]),  # also where no file has it
        (["+model.module.inner_ratio=0.5"], ["+model.module.inner_ratio=0.5"]),
        (["model=hybrid", "-m", "trial=0,1"], ["--multirun", "model=hybrid", "trial=0,1"]),
        (["trial=range(0,3)"], ["trial='range(0,3)'"]),
        (["-m", "trial=range(0,3)"], ["--multirun", "trial=range(0,3)"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_words_are_read_as_they_were_meant(words, prepared):
    assert prepare(words) == prepared


@pytest.mark.parametrize("name", ["2026_11_26", "1.10", "1e3", "true", "0x10", "a=b", "nan"])
def test_a_name_is_what_was_typed(name):
    config.register()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config.config_dir()), **config.hydra_defaults()):
        composed = hydra.compose("config", prepare([f"study={name}", f"row={name}"]))
    assert (config.resolve(composed).study, config.resolve(composed).row) == (name, name)


_values = st.one_of(
    st.sampled_from(["null", "", "'", "[", "{}", "${seed}", "${", "1e400", "nan", "-1", "99999999999", "true", "a,b"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
)
_groups = st.sampled_from(["model", "size", "data", "schedule", "augmentation", "experiment", "hydra/launcher"])
_keys_and_groups = st.one_of(st.sampled_from(sorted(keys(Config))), _groups)
_assigned = st.builds("{}{}={}".format, st.sampled_from(["", "+", "++"]), _keys_and_groups, _values)
_words = st.one_of(
    _assigned,
    st.builds("~{}".format, _keys_and_groups),
    st.sampled_from(["-m", "--cfg", "job", "--info", "--config-name=x", "--config-dir=x", "--resolve", "--package=x"]),
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(_words, min_size=1, max_size=3))
def test_any_command_line(tmp_path, words):
    check(words, tmp_path)


def test_the_check_itself_can_fail(tmp_path, monkeypatch):
    monkeypatch.setattr("hybridsep.launch.arguments.prepare", lambda words: print("one\ntwo", file=sys.stderr) or words)
    with pytest.raises(AssertionError):
        check(["model=null"], tmp_path)
    assert re.search("one", typed(["model=null"], tmp_path)[1])
