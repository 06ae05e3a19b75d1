"""`make bench-startup`: how long the commands take to start, each in a process of its own."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hybridsep.bench.timing import spread
from hybridsep.errors import ConfigError
from hybridsep.report.table import Column, Table, around, build
from scripts.benchmarks import arguments, scaling

# One trial of one step.
_ONE_STEP = (
    "data=synthetic",
    "data.source.train=64",
    "data.source.test=64",
    "size=tiny",
    "schedule=short",
    "schedule.epochs=1",
    "schedule.warmup_epochs=0",
    "schedule.batch_size=64",
    "evaluation.images=64",
)
_HELPS = ("run", "report", "bench")


@dataclass(frozen=True)
class Startup:
    """Seconds of each command in every round."""

    seconds: dict[str, list[float]]


def main(words: Sequence[str] | None = None) -> None:
    """Start every command, print the table and write it. Raises ConfigError, RecordError."""
    parser = arguments.parser("How long the commands take to start.", models=False)
    parser.add_argument("--starts", type=arguments.positive, default=3, help="times that each command is started")
    options = parser.parse_args(words)
    session = arguments.session(options, "scripts.benchmarks.startup", words)
    # Before the session takes a GPU, which is then not there for the processes that are started.
    startup = measure(device=options.device, starts=options.starts)
    session.write("startup", startup, [_table(startup)])


def measure(*, device: str, starts: int) -> Startup:
    """Start each command once in every round; the first round, which fills the page cache, is not counted.

    Raises ConfigError when a command fails.
    """
    seconds: dict[str, list[float]] = {}
    for number in range(starts + 1):
        taken = {
            f"{module} --help": scaling.measure(["-m", f"hybridsep.{module}", "--help"]).seconds for module in _HELPS
        }
        taken["run, to the first step"], taken["run, a trial of one step, to its end"] = training(device)
        for command, value in taken.items():
            seconds.setdefault(command, []).extend([value] if number else [])
    return Startup(seconds)


def training(device: str) -> tuple[float, float]:
    """Return the seconds until the run program says that it begins to train, and until it has ended."""
    first = None
    with tempfile.TemporaryDirectory() as folder:
        words = (*_ONE_STEP, f"device={device}", f"results={folder}/results", f"data_dir={folder}/data")
        begun = time.perf_counter()
        command = [sys.executable, "-m", "hybridsep.run", *words]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            line = ""
            for line in process.stderr:
                if first is None and ": training " in line:
                    first = time.perf_counter() - begun
        whole = time.perf_counter() - begun
    if process.returncode or first is None:
        raise ConfigError(f"the run program did not train a step on device={device}: {line.strip()}")
    return first, whole


def _table(startup: Startup) -> Table:
    columns: list[Column[tuple[str, list[float]]]] = [
        Column("Command", lambda line: line[0], wide=True),
        Column("Seconds", lambda line: spread(line[1]), lambda seconds: around(seconds.median, seconds.iqr)),
    ]
    lines = list(startup.seconds.items())
    note = f"Median ± half the interquartile range of {len(lines[0][1])} starts, files in the page cache."
    return build("starts", "Start-up", columns, lines, notes=[note])


if __name__ == "__main__":
    arguments.finish(main)
