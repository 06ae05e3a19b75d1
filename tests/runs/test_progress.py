"""Bars on a terminal that can draw them, lines everywhere else, and a terminal that goes away."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import wording
from conftest import TINY
from made_runs import read_record

from hybridsep.runs import records

PROGRAM = (
    "from hybridsep.runs.progress import monitor\nfrom hybridsep.runs.record import Epoch\n"
    "m = monitor()\nm.begin_study(2)\n"
    "t = m.begin_trial('resnext trial-00', 3, 0, 5)\nt.step(1)\n"
    "t.end_epoch(Epoch(1, 1.0, 50.0, 1.0, 50.0, 0.1, 10.0, 1.0))\nt.close()\n"
    "m.end_trial('resnext trial-00: ended', trained=True)\nm.close()"
)


def on_a_terminal(**environment: str) -> str:
    reader, terminal = pty.openpty()
    plain = {key: value for key, value in os.environ.items() if key not in ("TERM", "FORCE_COLOR", "COLUMNS")}
    with subprocess.Popen((sys.executable, "-c", PROGRAM), stderr=terminal, env=plain | environment) as process:
        os.close(terminal)
        seen = b""
        try:
            while part := os.read(reader, 4096):
                seen += part
        except OSError:
            pass
        assert process.wait() == 0
    os.close(reader)
    return seen.decode()


def test_a_terminal_has_bars_and_one_that_cannot_draw_them_has_lines():
    assert "\x1b[" in on_a_terminal(TERM="xterm")
    for odd in ({"TERM": "dumb"}, {"TERM": "xterm", "TTY_INTERACTIVE": "0"}):
        seen = on_a_terminal(**odd)
        assert f"{wording.TRAINING_TO} 3" in seen and "epoch 1/3" in seen and "\x1b" not in seen, seen


@pytest.mark.parametrize("odd", [{"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}, {"COLUMNS": "0"}, {"COLUMNS": "20"}])
def test_a_file_has_lines_whatever_the_environment_says(odd):
    done = subprocess.run((sys.executable, "-c", PROGRAM), capture_output=True, text=True, env=os.environ | odd)
    assert done.stderr.splitlines()[0] == f"resnext trial-00: {wording.TRAINING_TO} 3, 5 steps each (trial 1 of 2)"
    assert "\x1b" not in done.stderr and "epoch 1/3" in done.stderr


def test_a_connection_that_ends_saves_the_trial(tmp_path: Path):
    command = (sys.executable, "-m", "hybridsep.run", *TINY, "schedule.epochs=5000", f"results={tmp_path}")
    folder = records.run_folder(tmp_path, "tiny", "separable", 0)
    reader, terminal = pty.openpty()
    with subprocess.Popen(command, stderr=terminal, stdout=terminal, env=os.environ | {"TERM": "xterm"}) as process:
        os.close(terminal)
        os.set_blocking(reader, False)
        while not (folder / "record.json").exists() and process.poll() is None:
            time.sleep(0.05)
        os.close(reader)  # from now on nothing can be written to it
        time.sleep(0.5)
        process.send_signal(signal.SIGHUP)
        assert process.wait() == 75
    assert read_record(folder)["status"] == "interrupted"
