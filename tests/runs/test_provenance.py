"""The commit in a record is ours or none, and says where it is from."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from refusals import refused

from hybridsep.runs import provenance
from hybridsep.runs.record import Git

NONE = Git()
OURS = '[project]\nname = "hybridsep"\n'


def git(folder: Path, *command: str) -> str:
    named = {"AUTHOR": "a", "COMMITTER": "a"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {f"GIT_{who}_{part}": "a@b" for who in named for part in ("NAME", "EMAIL")}
    asked = ["git", "-C", str(folder), *command]
    return subprocess.run(asked, capture_output=True, text=True, check=True, env=environment).stdout.strip()


def repository(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


def copy(folder: Path, project: str = OURS) -> Path:
    """Lay the package into a checkout at `folder` and return the folder to import it from."""
    package = folder / "src" / "hybridsep"
    ours = Path(provenance.__file__).parents[1]
    for name in ("config", "runs"):
        shutil.copytree(ours / name, package / name, dirs_exist_ok=True)
    for name in ("__init__.py", "errors.py"):
        shutil.copy(ours / name, package / name)
    (folder / "pyproject.toml").write_text(project)
    return folder / "src"


def state(source: Path, **environment: str) -> Git:
    code = "from hybridsep.runs.provenance import git_state; print(git_state())"
    everything = {**os.environ, "PYTHONPATH": str(source), **environment}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=everything, check=True)
    return eval(done.stdout)


@pytest.fixture(autouse=True)
def _no_commit_by_name(monkeypatch):
    monkeypatch.delenv("HYBRIDSEP_COMMIT", raising=False)


pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


def test_a_checkout_names_its_commit_whatever_repository_the_environment_names(tmp_path):
    source = copy(tmp_path / "ours")
    commit = repository(tmp_path / "ours")
    repository(tmp_path / "thesis")
    thesis = {"GIT_DIR": str(tmp_path / "thesis" / ".git"), "GIT_WORK_TREE": str(tmp_path / "thesis")}
    for environment in ({}, thesis, {"HYBRIDSEP_COMMIT": "0" * 40}):
        assert state(source, **environment) == Git(commit, dirty=False, source="git")
    (source / "hybridsep" / "__init__.py").write_text("changed = True\n")
    assert state(source).dirty is True
    git(tmp_path / "ours", "worktree", "add", "-q", "../linked")
    assert state(tmp_path / "linked" / "src").commit == commit


def test_a_copy_in_another_repository_takes_no_commit_from_it(tmp_path):
    vendored = copy(tmp_path / "thesis" / "vendor")
    # As with `pip install --target src` in a project whose files lie as ours do.
    installed = copy(tmp_path / "tool", '[project]\nname = "tool"\n')
    for folder in ("thesis", "tool"):
        repository(tmp_path / folder)
    for source in (vendored, installed):
        assert state(source) == NONE
        named = state(source, HYBRIDSEP_COMMIT="cf80d30")
        assert named == Git("cf80d30", source="HYBRIDSEP_COMMIT")


def test_a_variable_without_a_commit_is_refused(monkeypatch):
    monkeypatch.setattr(provenance, "_checkout", lambda source: None)
    assert provenance.git_state() == NONE
    monkeypatch.setenv("HYBRIDSEP_COMMIT", "the newest")
    with refused(key="HYBRIDSEP_COMMIT='the newest'"):
        provenance.git_state()
