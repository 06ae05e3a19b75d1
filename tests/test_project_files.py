"""Files that other programs read: they name the versions and the licence that the project has."""

import re
import tomllib
from pathlib import Path

import yaml

import hybridsep

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"] == hybridsep.__version__
    assert citation["license"] == PROJECT["license"] == "MIT"
    assert citation["references"][0]["url"].endswith("/1701.04489")
    for required in ("message", "title", "authors"):
        assert citation[required]


def test_pre_commit_runs_the_pinned_ruff():
    pinned = re.search(r"^ruff==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)[1]
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert {repo["repo"].rpartition("/")[2]: repo["rev"] for repo in repositories}["ruff-pre-commit"] == f"v{pinned}"


def test_the_workflow_runs_every_supported_python_through_ci_run():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    assert job["steps"][-1]["run"] == ".ci/run"
    low, high = (int(minor) for minor in re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups())
    assert job["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(low, high)]
