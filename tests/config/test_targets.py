"""`_target_`: where classes are found, and their keywords checked."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Literal

from refusals import refused

from hybridsep import config
from hybridsep.config.targets import check_keywords, locate
from hybridsep.train import build


def test_network_keywords_of_the_wrong_type(compose):
    plain = config.resolve(compose())
    plain.model.network["colour"] = "red"
    with refused("Stack", key="model.network.colour"):
        build.network_factory(plain, classes=10)()
    plain.model.network["_target_"] = "hybridsep.networks.Nothing"
    with refused(key="model.network._target_=hybridsep.networks.Nothing"):
        build.network_factory(plain, classes=10)


def test_a_module_of_the_current_folder_is_found_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    (tmp_path / "modules_of_mine.py").write_text("import queue\nclass Mine:\n    puts = queue.Queue.put\n")
    (tmp_path / "queue.py").write_text("raise RuntimeError('not this one')\n")
    assert locate("modules_of_mine.Mine", "model.module").__name__ == "Mine"
    assert sys.path[-1] == str(tmp_path)
    for target in ("modules_of_mine.Nothing", "nowhere.Mine", 3, "os.sep"):
        with refused(key=f"model.module._target_={target}"):
            locate(target, "model.module")


def test_files_that_are_called_like_pythons_own(tmp_path):
    for name in ("random", "queue", "statistics", "signal", "threading"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not this one')\n")
    for program in ("run", "report", "bench", "equivalence"):
        command = [sys.executable, "-m", f"hybridsep.{program}", "--help"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_keywords_of_a_constructor():
    class Mine:
        def __init__(
            self, in_chs: int, out_chs: int, ratio: float, kind: Literal["a", "b"] = "a", *, size: Sequence[int]
        ):
            pass

    def checked(**given):
        return check_keywords(Mine, given, "model.module", positional=2)

    assert checked(ratio=1, size=[3]) == {"ratio": 1, "kind": "a", "size": [3]}
    for key, *more in (("ratio=x",), ("kind=c", "a, b"), ("sizes", "size"), ("size is missing",)):
        with refused(*more, key=f"model.module.{key}"):
            checked(ratio="x", kind="c", sizes=[3])
