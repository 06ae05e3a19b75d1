"""Where a number is from: versions and git state, as they are written into record.json."""

import os
import platform
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

from hybridsep.errors import ConfigError
from hybridsep.runs.record import Git

_PACKAGES = ("torch", "numpy", "hydra-core", "omegaconf", "pillow", "torchvision")


def versions() -> dict[str, str]:
    """Return the versions of Python, this project and the packages that can change a result, as far as installed."""
    by_package = {"python": platform.python_version()}
    for package in ("hybridsep", *_PACKAGES):
        try:
            by_package[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return by_package


def git_state() -> Git:
    """Return commit and state of the code that runs: from git, else from HYBRIDSEP_COMMIT, else nothing.

    The variable is for copies without `.git`. The commit of another repository, in which a copy of this package may
    lie, is never taken. Raises ConfigError when the variable holds no commit.
    """
    if state := _checkout(Path(__file__).resolve().parents[3]):
        return state
    commit = os.environ.get("HYBRIDSEP_COMMIT", "")
    if not re.fullmatch(r"([0-9a-f]{7,64})?", commit):
        raise ConfigError(f"HYBRIDSEP_COMMIT={commit!r:.80} is no commit: 7 to 64 digits from 0 to f")
    return Git(commit=commit, source="HYBRIDSEP_COMMIT") if commit else Git()


def _checkout(source: Path) -> Git | None:
    """Return the state of the checkout at `source`, None when there is no git, no repository, or not our own."""
    try:
        with (source / "pyproject.toml").open("rb") as file:
            if tomllib.load(file)["project"]["name"] != "hybridsep":
                return None
        commit, top = _git(source, "rev-parse", "HEAD", "--show-toplevel")
        if not os.path.samefile(top, source):
            return None
        changed = _git(source, "status", "--porcelain", "--", "src", "conf")
    except (OSError, ValueError, LookupError, TypeError, subprocess.SubprocessError):
        return None
    return Git(commit=commit, dirty=bool(changed), source="git")


def tracked(folder: Path) -> list[str]:
    """Return the files under a folder that git tracks, as paths from there; none where there is no git."""
    try:
        return _git(folder, "ls-files", "-z")[0].split("\0")
    except (OSError, LookupError, subprocess.SubprocessError):
        return []


def _git(folder: Path, *command: str) -> list[str]:
    # In a hook, and in a linked worktree, git names its own repository there, and that name would win over `-C`.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # Without the optional lock nobody's own git has to wait for ours.
    words = ["git", "-C", str(folder), "--no-optional-locks", *command]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=10, env=environment)
    return done.stdout.splitlines()
