"""The command line: one line for what is wrong, help without torch."""

import subprocess
import sys

from hybridsep.bench.__main__ import COMMANDS, main


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
