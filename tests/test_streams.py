"""Programs whose output is closed, full, without a reader or not UTF-8 end with their status and at most one line."""

import os
import signal
import subprocess
import sys

import pytest
import wording
from conftest import TINY

# The table of those identities that do not hold: it has letters that ASCII has not.
EQUIVALENCE = (
    sys.executable,
    "-c",
    "from hybridsep.equivalence import identities, __main__ as program\n"
    "identities.IDENTITIES = [each for each in identities.IDENTITIES if not each.holds]\n"
    "raise SystemExit(program.main(['seeds=1']))",
)
HELP = (sys.executable, "-m", "hybridsep.run", "--help")
TABLE = (
    "from rich.console import Console\nfrom hybridsep.streams import run_program\n"
    "raise SystemExit(run_program('table', lambda: Console().print('a line ' * 9999) or 0))"
)
RICH = (sys.executable, "-c", TABLE)


def ended(command: tuple[str, ...], **options) -> tuple[int, str]:
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, **options)
    return done.returncode, done.stderr


def test_a_training_with_closed_streams_ends_well(tmp_path):
    train = (sys.executable, "-m", "hybridsep.run", *TINY, "schedule.epochs=1", "schedule.warmup_epochs=0")
    shell = ("sh", "-c", 'exec "$@" >&-', "sh", *train)
    status, said = ended(shell, cwd=tmp_path)
    assert status == 0 and "Traceback" not in said, said
    assert wording.finished("separable trial-00") in said
    every = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *train, "trial=1")
    assert subprocess.run(every, cwd=tmp_path).returncode == 0
    assert (tmp_path / "results/runs/tiny/separable/trial-01/predictions.npz").exists()


def test_a_table_in_plain_letters_where_the_encoding_has_no_others():
    odd = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "0"}
    shell = subprocess.run(EQUIVALENCE, capture_output=True, env=odd)
    assert shell.returncode == 0 and not shell.stderr, shell.stderr
    shown = shell.stdout.decode("ascii")
    assert " != " in shown and "does not hold, rightly" in shown and "?" not in shown, shown


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
@pytest.mark.parametrize("command", [RICH, HELP])
def test_a_full_output_is_one_line(command):
    with open("/dev/full", "w") as full:
        status, said = ended(command, stdout=full)
    assert status == 2 and said.count("\n") == 1 and wording.NO_SPACE in said, said


@pytest.mark.parametrize("command", [RICH, HELP])
def test_an_output_that_nobody_reads_is_no_error(command):
    reader, writer = os.pipe()
    os.close(reader)
    assert ended(command, stdout=writer) == (0, "")
    os.close(writer)


def test_ctrl_c_is_one_line():
    begin = "import sys, time\nfrom hybridsep.streams import run_program\n"
    begin += "sys.exit(run_program('waits', lambda: print('there', flush=True) or time.sleep(600) or 0))"
    with subprocess.Popen(
        (sys.executable, "-c", begin), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "there\n"
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
    assert (process.returncode, said) == (130, "waits: interrupted\n")
