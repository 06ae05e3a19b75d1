"""Run what can depend on the machine as if this were another one; print a table of lines and how each ended.

  python scripts/test_machines.py                 every line (minutes; `make test-machines`)
  python scripts/test_machines.py --quick         the lines of `.ci/run`
  python scripts/test_machines.py avx2 no-git     lines by name

A line is a condition and tests that tell. The condition is checked in the same environment before the tests run: a line
whose condition does not hold fails, so that none can pass without testing anything. Exit status 1 when a line failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("src", "conf", "tests", "pyproject.toml", "README.md")
# Six rows from training to their table; then every kind of command and error, and what the machine is words.
STUDY = ("tests/test_run.py::test_a_study_of_six_rows_from_training_to_its_table",)
COMMANDS = ("tests/test_run.py", "tests/test_wording.py", "tests/runs/test_machine.py")


@dataclass(frozen=True)
class Line:
    name: str
    condition: str  # in words
    holds: str  # Python, run under the condition: true where it holds
    tests: tuple[str, ...] = COMMANDS
    environment: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()  # a command that starts the tests
    python: str | None = None  # an environment of its own, with this Python
    packages: tuple[str, ...] = ()  # and these packages in place of the locked ones
    folder: str | None = None  # a copy of the project in a folder of this name
    user: str | None = None  # who runs it
    hidden: str | None = None  # a program that is not on PATH
    quick: bool = False


LINES = (
    Line(
        "avx2",
        "no AVX-512, no bfloat16 arithmetic",
        "import torch; from hybridsep.train.precision import multiplies_bfloat16 as m; "
        "ok = not m() and torch.backends.cpu.get_cpu_capability() == 'AVX2'",
        environment={"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
        quick=True,
    ),
    Line(
        "one-core",
        "one core",
        "from hybridsep.runs.machine import cores; ok = cores() == 1",
        prefix=("taskset", "-c", "0"),
        tests=("tests/test_run.py", "tests/train/test_graph.py"),
    ),
    Line(
        "many-threads",
        "sixteen threads, whatever the cores",
        "import torch; ok = torch.get_num_threads() == 16",
        # MKL would hold them to the cores.
        environment={"OMP_NUM_THREADS": "16", "MKL_NUM_THREADS": "16", "MKL_DYNAMIC": "FALSE"},
    ),
    Line(
        "user",
        "an ordinary user",
        "import os; ok = os.getuid() != 0",
        user="nobody",
        folder="copy",
        tests=("tests/test_run.py", "tests/faults/test_bad_disks.py"),
    ),
    Line(
        "folder",
        "a folder with a space and a letter beyond ASCII",
        "import hybridsep; ok = 'é b' in hybridsep.__file__",
        folder="é b",
        tests=STUDY,
        quick=True,
    ),
    Line("no-git", "no git on PATH", "import shutil; ok = not shutil.which('git')", STUDY, hidden="git", quick=True),
    Line(
        "home",
        "a home that cannot be written",
        "import pathlib; ok = not pathlib.Path.home().exists()",
        environment={"HOME": "/proc/no-home"},
    ),
    Line(
        "locale",
        "locale C, the first time zone of the day",
        "import time; ok = time.timezone == -14 * 3600",
        environment={"LC_ALL": "C", "TZ": "Pacific/Kiritimati"},
        tests=STUDY,
        quick=True,
    ),
    Line(
        "narrow",
        "40 columns",
        "import shutil; ok = shutil.get_terminal_size().columns == 40",
        environment={"COLUMNS": "40"},
    ),
    Line(
        "no-terminal",
        "no terminal",
        "import os\ntry:\n    os.open('/dev/tty', os.O_RDWR); ok = False\nexcept OSError:\n    ok = True",
        environment={"TERM": "dumb"},
        prefix=("setsid", "--wait"),
    ),
    Line(
        "torch2.11",
        "the oldest torch, Python 3.12",
        "import sys, torch; ok = torch.__version__.startswith('2.11.') and sys.version_info[:2] == (3, 12)",
        python="python3.12",
        packages=("torch==2.11.*", "torchvision==0.26.*"),
        tests=(*COMMANDS, "tests/train/test_graph.py"),
    ),
    Line(
        "torch2.15",
        "the newest torch, Python 3.13",
        "import sys, torch; ok = torch.__version__.startswith('2.15.') and sys.version_info[:2] == (3, 13)",
        python="python3.13",
        packages=("torch==2.15.*", "torchvision==0.29.*"),
        tests=(*COMMANDS, "tests/train/test_graph.py"),
    ),
)


class Skipped(Exception):
    """The line cannot be run on this machine; the message says why."""


def run(line: Line, place: Path) -> None:
    """Run one line in the folder `place`. Raises Skipped, or AssertionError with what failed."""
    for program in (line.prefix[:1] or ()) + ((line.python,) if line.python else ()):
        if not shutil.which(program):
            raise Skipped(f"there is no {program}")
    if line.user and os.getuid() != 0:
        raise Skipped("only root can become another user; you are an ordinary one already")
    root = ROOT
    if line.folder:
        root = place / line.folder
        root.mkdir()
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, root / name)
    python = environment_with(line, place) if line.python else Path(sys.executable)
    prefix = list(line.prefix)
    variables = {**os.environ, "PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1", **line.environment}
    if line.user:
        if not shutil.which("runuser"):
            raise Skipped("there is no runuser")
        subprocess.run(["chown", "-R", line.user, place], check=True)
        variables |= {"HOME": str(place), "TMPDIR": str(place), "USER": line.user}
        prefix = ["runuser", "-u", line.user, "--", *prefix]
        if subprocess.run([*prefix, python, "-c", ""], capture_output=True, cwd=root).returncode:
            raise Skipped(f"{line.user} may not read {python}")
    if line.hidden:
        variables["PATH"] = path_without(line.hidden, place / "bin")
    check = f"{line.holds}\nassert ok"
    call([*prefix, python, "-c", check], root, variables, f"the condition does not hold: {line.condition}")
    cache = ["-p", "no:cacheprovider", "-q", "-x"]
    call([*prefix, python, "-m", "pytest", *cache, *line.tests], root, variables, "tests failed")


def call(command: list, root: Path, variables: dict[str, str], failure: str) -> None:
    done = subprocess.run(command, cwd=root, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.stdout.write(done.stdout[-6000:])
        raise AssertionError(failure)


def environment_with(line: Line, place: Path) -> Path:
    """Return the Python of an environment of the line's own: the locked packages, then `packages`."""
    python = place / "venv/bin/python"
    made = subprocess.run([str(line.python), "-m", "venv", place / "venv"], capture_output=True, text=True)
    if made.returncode:
        raise Skipped(f"{line.python} does not work here")
    install = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--python", python]
    call([*install, "--require-hashes", "-r", ROOT / "requirements.lock"], ROOT, {**os.environ}, "locked packages")
    if line.packages:
        call([*install, *line.packages], ROOT, {**os.environ}, "packages cannot be installed")
    call([*install, "--no-deps", "-e", ROOT], ROOT, {**os.environ}, "hybridsep cannot be installed")
    return python


def path_without(program: str, folder: Path) -> str:
    """Return a PATH of one folder with links to every program but one."""
    folder.mkdir()
    for directory in reversed(os.get_exec_path()):
        for path in Path(directory).iterdir() if Path(directory).is_dir() else ():
            link = folder / path.name
            if path.name != program and os.access(path, os.X_OK):
                link.unlink(missing_ok=True)
                link.symlink_to(path)
    return str(folder)


def outcome(line: Line) -> str:
    with tempfile.TemporaryDirectory(prefix="machine-", ignore_cleanup_errors=True) as place:
        try:
            run(line, Path(place))
        except Skipped as why:
            return f"skipped: {why}"
        except AssertionError as why:
            return f"FAILED: {why}"
    return "passed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="LINE", help=", ".join(line.name for line in LINES))
    parser.add_argument("--quick", action="store_true", help="only the lines that take seconds")
    words = parser.parse_args()
    unknown = set(words.names) - {line.name for line in LINES}
    if unknown:
        parser.error(f"no line is called {', '.join(sorted(unknown))}; there are {', '.join(x.name for x in LINES)}")
    chosen = [x for x in LINES if (x.name in words.names or not words.names) and (x.quick or not words.quick)]
    rows = []
    for line in chosen:
        began = time.monotonic()
        result = outcome(line)
        rows.append(f"| `{line.name}` | {line.condition} | {result} | {time.monotonic() - began:.0f} |")
        print(f"{line.name}: {result}", file=sys.stderr, flush=True)
    print("\n".join(["| line | condition | outcome | seconds |", "|---|---|---|--:|", *rows]))
    sys.exit(any("FAILED" in row for row in rows))


if __name__ == "__main__":
    main()
