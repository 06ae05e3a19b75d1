"""The command line: one line for what is wrong, help without torch."""

import subprocess
import sys

import pytest

from hybridsep.bench.__main__ import COMMANDS, main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["thruput"], "'thruput' is not key=value: did you mean throughput?"),
        (["throughput.round=3"], "did you mean throughput.rounds?"),
        (["batch=1"], "batch=1 is not allowed: a whole number from 2"),
        (["throughput.seconds=nan"], "throughput.seconds=nan is not allowed: a finite number above 0"),
        (["throughput.rounds=many"], "throughput.rounds=many is not allowed: a whole number from 1 to 1000000"),
        (["label=../x"], "label=../x is not allowed"),
        (["throughput.images=100"], "throughput.images=100 is not allowed: a whole number from 128"),
        (
            ["cores", "size=tiny"],
            "size is not a key of cores: allowed are results, label, device, threads, models, batch,",
        ),
        (["cores", "throughput.rounds=3"], "throughput.rounds is not a key of cores"),
        (["cores", "batch=5000", "cores.sizes=[huge]"], "huge"),
        (["floor", "floor.rounds=3"], "floor: a developers' benchmark now: make bench-roofline"),
        (["size=huge"], "huge"),
        (["models=[separable,nope]"], "nope"),
        (["device=cuda:99"], "cuda:99"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, capsys, words, said):
    assert main([*words, f"results={tmp_path / 'results'}"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("hybridsep.bench: ") and said in lines[0]
    assert not (tmp_path / "results").exists()


def test_help_names_every_key_without_torch():
    code = "import sys; from hybridsep.bench.__main__ import main; main(['--help']); assert 'torch' not in sys.modules"
    called = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert called.returncode == 0, called.stderr
    for command in COMMANDS:
        assert f"\n    {command.name}" in called.stdout
    assert "  throughput.rounds=9 " in called.stdout and "# each side is timed once a round" in called.stdout


def test_help_of_a_command_lists_its_own_keys(capsys):
    assert main(["cores", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "  cores.rounds=" in shown and "  models=[separable," in shown and "throughput.rounds" not in shown
