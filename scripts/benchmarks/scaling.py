"""`make bench-scaling`: time and memory of whole commands: `run` over trials and widths, `report` over run folders.

Every command is a process of its own, measured by a small one that waits for it, because Linux counts the memory of
the process that starts a program to that program's peak.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import made_runs

from hybridsep.bench import output
from hybridsep.errors import ConfigError
from hybridsep.report.table import Column, Table, build, byte_count, tenth, times
from scripts.benchmarks import arguments

_WIDTHS = (16, 32, 64)  # of conf/size/tiny.yaml
_TRIALS_OF_A_WIDTH = 2
_WAIT = """
import json, os, sys, time
begun = time.perf_counter()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(process, 0)
seconds = time.perf_counter() - begun
peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
processor = used.ru_utime + used.ru_stime
print(json.dumps([seconds, processor, peak, os.waitstatus_to_exitcode(status)]))
"""


@dataclass(frozen=True)
class Usage:
    """What a command took from its start to its end; `peak_bytes` is its largest resident set."""

    seconds: float
    processor_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Line:
    """A command, over what it was repeated, and with how much of it."""

    command: str
    over: str
    value: int
    size: str  # that value in words
    usage: Usage


@dataclass(frozen=True)
class Scaling:
    """All that was measured."""

    lines: list[Line]


def main(words: Sequence[str] | None = None) -> None:
    """Measure every command once, print the table and write it. Raises ConfigError, RecordError."""
    parser = arguments.parser("Time and memory of whole commands.", models=False)
    parser.add_argument("--trials", type=arguments.positive, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument(
        "--widths", type=arguments.positive, nargs="+", default=[1, 2, 3], help="times those of size=tiny"
    )
    parser.add_argument("--epochs", type=arguments.positive, default=8, help="of a trial")
    shapes = [(1, 1, 10), (1, 10, 10), (1, 100, 10)]
    parser.add_argument("--folders", type=shape, nargs="+", default=shapes, help="studies x rows x trials of a report")
    parser.add_argument("--images", type=arguments.positive, default=10_000, help="test images in each folder")
    options = parser.parse_args(words)
    session = arguments.session(options, "scripts.benchmarks.scaling", words)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for line in _measurements(options, Path(folder)):
            usage = line.usage
            output.say(f"{line.command}, {line.size}: {usage.seconds:.1f} s, {byte_count(usage.peak_bytes)}")
            lines.append(line)
    session.write("scaling", Scaling(lines), [_table(lines)])


def shape(text: str) -> tuple[int, int, int]:
    """Return `(studies, rows, trials)` of `1x6x10`. Raises ValueError."""
    studies, rows, trials = map(int, text.split("x"))
    if min(studies, rows, trials) < 1:
        raise ValueError(text)
    return studies, rows, trials


def measure(words: list[str]) -> Usage:
    """Run `python WORDS` and return what it took. Raises ConfigError, with its last line, when it fails."""
    called = subprocess.run(
        [sys.executable, "-S", "-c", _WAIT, sys.executable, *words], capture_output=True, text=True, check=True
    )
    # The command's own output comes first.
    seconds, processor, peak, status = json.loads(called.stdout.splitlines()[-1])
    if status:
        message = (called.stderr.strip() or called.stdout.strip()).splitlines()[-1]
        raise ConfigError(f"python {' '.join(words)} ended with status {status}: {message}")
    return Usage(seconds, processor, peak)


def _measurements(options: argparse.Namespace, folder: Path) -> Iterator[Line]:
    training = [
        "data=synthetic",
        "size=tiny",
        "schedule=short",
        f"schedule.epochs={options.epochs}",
        f"schedule.warmup_epochs={min(1, options.epochs - 1)}",
        "schedule.batch_size=64",
        f"device={options.device}",
        f"threads={options.threads or 'null'}",
    ]

    def train(place: str, trials: int, *words: str) -> Usage:
        places = [f"results={folder / place}", f"data_dir={folder / 'data'}", f"trial=0..{trials - 1}"]
        return measure(["-m", "hybridsep.run", *training, *places, *words])

    for trials in options.trials:
        yield Line("run", "trials", trials, f"{trials} trials", train(f"trials{trials}", trials))
    for factor in options.widths:
        widths = ",".join(str(width * factor) for width in _WIDTHS)
        usage = train(f"width{factor}", _TRIALS_OF_A_WIDTH, f"size.widths=[{widths}]")
        yield Line("run", "widths", factor, f"widths x {factor}, {_TRIALS_OF_A_WIDTH} trials", usage)
    for studies, rows, trials in options.folders:
        results = folder / f"report{studies}x{rows}x{trials}"
        count = made_runs.fill(results, studies=studies, rows=rows, trials=trials, images=options.images)
        usage = measure(["-m", "hybridsep.report", f"results={results}"])
        yield Line("report", "runs", count, f"{count} runs ({studies} studies x {rows} rows x {trials} trials)", usage)


def _table(lines: Sequence[Line]) -> Table:
    first = {line.over: line.usage.seconds for line in reversed(lines)}
    columns: list[Column[Line]] = [
        Column("Command", lambda line: line.command, wide=True),
        Column("Over", lambda line: line.size, wide=True),
        Column("Seconds", lambda line: line.usage.seconds, tenth),
        Column("Of processor", lambda line: line.usage.processor_seconds, tenth),
        Column("Ratio", lambda line: line.usage.seconds / first[line.over], times),
        Column("Peak memory", lambda line: line.usage.peak_bytes, byte_count),
    ]
    notes = [
        "Whole commands, from start to end, once each (n = 1): imports, data, training or reading, files. Ratio: to the"
        " first of its kind. Peak memory: largest resident set of the process.",
        "run: size=tiny, the built-in data, rows of `separable`. report: made-up runs of 10,000 images unless set"
        " otherwise (--images), tables and figures.",
    ]
    return build("scaling", "Time and memory", columns, lines, notes=notes)


if __name__ == "__main__":
    arguments.finish(main)
