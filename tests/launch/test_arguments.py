"""Command lines that nobody should type: each does what it says, or ends in one line and status 2 before training."""

import contextlib
import io
import os
import re
import sys

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridsep import config
from hybridsep import run as program
from hybridsep.config import Config
from hybridsep.config.keys import keys
from hybridsep.launch.arguments import prepare
from hybridsep.launch.jobs import End

SEEDS = [
    ["model=null"],
    ["~model"],
    ["+x="],
    ["hydra=x"],
    ["--config-name", "nothing"],
    ["--config-dir", "nowhere"],
    ["model='"],
    ["-m"],
    ["-m", "-m", "trial=0,1"],
    ["-m", "model=glob(zzz)"],
    ["hydra/launcher=nothing"],
    ["--cfg", "nonsense"],
    ["--cfg"],
    ["é=1"],
    [""],
    ["threads=1000000000"],
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


def typed(words: list[str], place) -> tuple[int, str]:
    """Type `python -m hybridsep.run` with these words, all that writes replaced; return `(status, standard error)`."""
    before = sys.argv, os.environ.copy(), os.getcwd()
    sys.argv = ["run.py", *words]
    said = io.StringIO()
    os.chdir(place)
    try:
        with (
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(io.StringIO()),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr("hybridsep.train.row.train_row", lambda *_, **__: [])
            patch.setattr("hybridsep.launch.jobs.end_of", lambda _: End.FINISHED)
            patch.setattr("hybridsep.launch.jobs.Job.test_error", lambda _: 1.0)
            patch.setattr("hybridsep.launch.sweeper.prepare_studies", lambda _: None)
            patch.setattr(program, "_measure", lambda *_: True)
            with pytest.raises(SystemExit) as ended:
                program.main()
    finally:
        sys.argv, environment, folder = before
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
    return ended.value.code, said.getvalue()


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


@pytest.mark.parametrize(
    "words",
    [["model=null"], ["~model"], ["-m", "model=glob(zzz)"], ["threads=1000000000"], ["--cfg", "nonsense"], ["model='"]],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_refused(words, tmp_path):
    assert typed(words, tmp_path)[0] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=a,b"], "model=a,b names several: add -m"),
        (["size=small,tiny"], "size=small,tiny names several: add -m"),
        (["model=[inception,resnext]"], "-m model=inception,resnext does one after the other"),
        (["size=[small,tiny]"], "-m size=small,tiny"),
        (["schedule=[cpu,paper]"], "-m schedule=cpu,paper"),
        (["experiment=[quick,figure4]"], "-m experiment=quick,figure4"),
        (["-m", "model=[a,b],c"], "-m model=a,b"),
        (["model=dense"], "did you mean model=variant/dense?"),
        (["model/variant=dense"], "type model=variant/dense"),
        (["model=resnet"], "did you mean model=resnext?"),
        (["modle=resnext"], "modle is not a key: did you mean model?"),
        (["modle"], "did you mean model=...?"),
        (["modle.network.depth=3"], "modle is not a key: did you mean model?"),
        (["scal=quick"], "did you mean scale?"),
        (["model.modle.inner_ratio=2"], "did you mean model.module?"),
        (["shedule=cpu"], "did you mean schedule?"),
        (["shedule.lr=1"], "did you mean schedule?"),
        (["module=resnext"], "did you mean model.module?"),
        (["epcohs=3"], "did you mean schedule.epochs?"),
        (["evaluaton.subset=all"], "did you mean evaluation?"),
        (["+experiment=quick"], "type experiment=quick, without +"),
        (["++model=hybrid"], "type model=hybrid, without ++"),
        (["experiment=figure5_quick"], "is now called experiment=figure5 scale=quick"),
        (["experiment=figure6_small"], "is now called experiment=figure6 scale=small"),
        (["experiment=nonsense_quick"], "experiment=nonsense_quick is not there"),
        (["quick"], "did you mean experiment=quick?"),
        (["size=null"], "size=null is not allowed: one of paper, quicknet, small, tiny"),
        (["schedule.lr=1"], "did you mean schedule.learning_rate?"),
        (["+schedule.lr=1"], "did you mean schedule.learning_rate?"),
        (["schedule.epochs=x"], "schedule.epochs=x is not allowed: a whole number from 1"),
        (["schedule.epochs=a=b"], "schedule.epochs=a=b is not allowed: a whole number from 1"),
        (["+data.source.note=a&b"], """as text it is "+data.source.note='a&b'" """.strip()),
        (["-m", "experiment=activation,residual"], "model, trial itself: type a command for each"),
        (["data.path=somewhere"], "data.path=somewhere is not used"),
        (["study=all"], "study=all is not allowed"),
        (["row=asked.json"], "row=asked.json is not allowed"),
        (["scale=null"], "scale=null is not allowed: one of quick, small, or no scale= at all"),
        (["scale=3"], "scale=3 is not there: allowed are quick, small"),
        (["scale={a:1}"], "scale={a:1} is not allowed: one of quick, small"),
        (["experiment=[]"], "experiment=[] is not allowed: one of activation, "),
        (["data=null"], "data=null is not allowed: one of cifar10, "),
        (["model={}"], "model={} is not allowed: one of darknet, "),
        (["model=resnext,model=hybrid"], "model=resnext,model=hybrid is not allowed: one of "),
        (["-m", "size=null,tiny"], "size=null,tiny is not allowed: one of paper, "),
        (
            ["-m", "scale=quick", "model.network.depth=1,2", "schedule.momentum=0.8,0.9"],
            "name them, for example 'row=${model.name}-${model.network.depth}-${schedule.momentum}'",
        ),
        (["-m", "augmentation=none,crop_flip"], "type a command for each, with row=NAME or study=NAME"),
        (["-m", "task=speed", "device=cpu,auto"], "device=cpu and device=auto would both be row separable of study "),
        (["model=darknet", "size.depth=5"], "size.depth=5 does not reach the network of this model, which takes "),
        (["-m", "scale=quick,small"], "scale=quick sweeps over trial itself: type a command for each"),
        (["hydra/launcher=null"], "hydra/launcher=null is not allowed: one of joblib, "),
        (["-m", "hydra/launcher=[]"], "hydra/launcher=[] is not allowed: one of joblib, "),
        (["~schedule"], "~schedule: it cannot be left out; type schedule=VALUE"),
        (["~scale"], "~scale: there is none unless you type scale=NAME"),
        (["~threads"], "~threads: it cannot be left out; type threads=VALUE"),
        (["model", "resnext"], "'model' is not key=value: type model=NAME, one of darknet, "),
        (["--model", "resnext"], "--model: type model=..., without -"),
        (["-model=resnext"], "-model=resnext: type model=..., without -"),
        (["Model=resnext"], "did you mean model?"),
        (["model=conf/model/resnext.yaml"], "model=conf/model/resnext.yaml is not there: did you mean model=resnext?"),
        (["report", "study=quick"], "python -m hybridsep.report"),
        (["trial=[0..9"], "trial=[0..9 is not allowed: 3, 0..9 or [0,2,5..7]"),
        (["trial=[range(0,3)]"], "trial=[range(0,3)] is not allowed: 3, 0..9"),
        (["trial=0,1"], "trial=0,1 names several: type trial=[0,1], or add -m"),
        (["trial=null"], "trial=null is not allowed: 3, 0..9"),
        (["size.widths=16,32"], "size.widths=16,32 names several: type size.widths=[16,32], or add -m"),
        (["size.widths=16"], "size.widths=16 is not allowed: a list of 1 or more"),
        (["seed=null"], "seed=null is not allowed: a whole number"),
        (["data.mean=0.5"], "data.mean=0.5 is not allowed: a list of 3"),
        (["evaluation=all"], "evaluation=all is not allowed: a group of keys: subset, images"),
        (["model.module=resnext"], "model.module=resnext is not allowed: a group of keys"),
        (["results="], "results= is not allowed: a path"),
        (["data=imagefolder", "data.path="], "data.path= is not allowed: a path"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_refusal_says_what_to_type(words, said, tmp_path):
    status, text = typed(words, tmp_path)
    assert status == 2 and said in text and text.count("\n") == 1, text


def test_a_keyword_that_no_file_has_is_set_in_every_row_and_a_key_that_there_is_not_is_named(tmp_path):
    keywords = ["model.module.inner_ratio=0.5", "model.network.depth=2"]
    assert typed(["-m", "model=inception,resnext", *keywords], tmp_path)[0] == 0
    status, said = typed(["epochs=5", "model.nmae=x", "schedule.lr=1"], tmp_path)
    assert status == 2
    meant = {"epochs": "schedule.epochs", "model.nmae": "model.name", "schedule.lr": "schedule.learning_rate"}
    for key, other in meant.items():
        assert f"{key} is not a key: did you mean {other}?" in said, said


def test_files_of_ones_own(tmp_path):
    def own(name: str, content: str | bytes) -> None:
        path = tmp_path / "own" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def said(*words: str) -> str:
        status, text = typed(["--config-dir=own", *words], tmp_path)
        assert status == 2 and text.count("\n") == 1, text
        return text

    for name, content, refusal in (
        ("broken", "a: [1\nb: }\n", "broken.yaml cannot be read as YAML, line 2"),
        ("twice", "a: 1\na: 2\n", "twice.yaml cannot be read as YAML, line 2: found duplicate key a"),
        ("latin", "a: \xe9\n".encode("latin-1"), "latin.yaml cannot be read"),
        ("there", "defaults:\n  - there\n", "there.yaml contains itself: its defaults"),
        ("anchor", "name: &a [*a]\n", "anchor.yaml contains itself: an alias"),
    ):
        own(f"schedule/{name}", content)
        assert f"own/schedule/{refusal}" in said("schedule=paper")
        (tmp_path / f"own/schedule/{name}.yaml").unlink()
    own("schedule/there", "defaults:\n  - back\n")
    own("schedule/back", "defaults:\n  - there\n")
    assert "contains itself: its defaults" in said("schedule=there")
    (tmp_path / "own/schedule/there.yaml").unlink()
    own("experiment/both", "# @package _global_\ndefaults:\n  - override /model: [inception,resnext]\n")
    assert "a list of files for model would be merged into one" in said("experiment=both")
    own("experiment/number", "# @package _global_\nstudy: 2026_11_26\n")
    assert "study=20261126 is not allowed" in said("experiment=number") and "quotes" in said("experiment=number")
    own("model/nameless", "module: {_target_: hybridsep.modules.dense.Dense}\nnetwork: {}\n")
    assert "model.name is missing: a model's file" in said("model=nameless")
    own("site/of/another/program", "!!python/name:x")
    own("mkdocs", "a: [")
    assert typed(["--config-dir=own", "schedule=paper"], tmp_path)[0] == 0
    own("schedule/short", "name: short\n")  # the name of a packaged file
    assert "own/schedule/short.yaml would not be read" in said("schedule=paper")


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
