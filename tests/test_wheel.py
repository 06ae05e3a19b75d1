"""The built wheel runs from any directory: it carries `conf/` with it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from hybridsep.report import render

ROOT = Path(__file__).resolve().parents[1]


def test_the_wheel_runs_elsewhere(tmp_path):
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", ROOT], check=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    assert (tmp_path / "installed/hybridsep/py.typed").exists()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=elsewhere, env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert str(tmp_path / "installed") in python("-c", "import hybridsep; print(hybridsep.__file__)")
    shipped = python("-c", "from hybridsep.config import config_dir; print(config_dir())").strip()
    assert Path(shipped) == tmp_path / "installed/hybridsep/conf"
    assert "name: hybrid" in python("-m", "hybridsep.run", "model=hybrid", "--cfg", "job")
    assert "--check" in python("-m", "hybridsep.report", "--help")
    names = "from hybridsep.report import render; print(*sorted(path.name for path in render._TEMPLATES.iterdir()))"
    assert python("-c", names).split() == sorted(path.name for path in render._TEMPLATES.iterdir())
    assert list(elsewhere.iterdir()) == []
