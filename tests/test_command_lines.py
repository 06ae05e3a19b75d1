"""Command lines that nobody should type: each does what it says, or ends in one line and status 2 before training."""

import contextlib
import io
import os
import re
import sys
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridsep import run as program
from hybridsep.config import Config
from hybridsep.config.keys import keys
from hybridsep.runs import plan

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
    finished = SimpleNamespace(finished=1, skipped=0, stopped=False, failed=[], diverged=[], errors=[])
    before = sys.argv, program._train, program._measure, plan.extend, os.environ.copy(), os.getcwd()
    program._train, program._measure, plan.extend = lambda *_: finished, lambda *_: False, lambda *_: None
    sys.argv = ["run.py", *words]
    said = io.StringIO()
    os.chdir(place)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            with pytest.raises(SystemExit) as ended:
                program.main()
    finally:
        sys.argv, program._train, program._measure, plan.extend, environment, folder = before
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
    monkeypatch.setattr("hybridsep.launch.supervisor._check_words", lambda words: print("one\ntwo", file=sys.stderr))
    with pytest.raises(AssertionError):
        check(["model=null"], tmp_path)
    assert re.search("one", typed(["model=null"], tmp_path)[1])
