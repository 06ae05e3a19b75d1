"""`scripts/soak.py` takes its cases from the tests; none is run here."""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_case_is_there_and_ctrl_c_reaches_it_in_the_background():
    code = "import signal, soak; print(len(soak.ways(1)) > 0, signal.getsignal(2) is signal.default_int_handler)"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "scripts",
        capture_output=True,
        text=True,
        # A shell without job control starts its background jobs so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert (ended.returncode, ended.stdout) == (0, "True True\n"), ended.stderr
