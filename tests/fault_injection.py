"""Fault injection for trainers: disks that fail or kill at a chosen operation, forked trainers, clean processes.

`Disk` sees every change of files under one folder: making, each system write, flushing to disk, renaming, removing.
`clean(function)` calls a function in a fresh process with torch loaded and no threads, which may fork trainers as it
likes; one server of such processes is started and warmed up for a whole test session.
"""

import builtins
import contextlib
import dataclasses
import errno
import functools
import io
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Small enough that one trial takes a fifth of a second, and with everything in it that a resume can lose: momentum,
# a moving learning rate, dropout, the middle of an epoch.
SMALL = (
    "data=synthetic",
    "data.source.train=64",
    "data.source.test=20",
    "data.source.side=16",
    "size=tiny",
    "size.widths=[8,16]",
    "size.dropout=0.2",
    "schedule=short",
    "schedule.epochs=2",
    "schedule.warmup_epochs=1",
    "schedule.batch_size=16",
    "device=cpu",
    "threads=1",
    "study=s",
)
STEPS = 4  # of an epoch of SMALL
_CHANGES = {
    "replace": "rename",
    "rename": "rename",
    "unlink": "remove",
    "remove": "remove",
    "rmdir": "remove",
    "mkdir": "mkdir",
    "fsync": "flush",
}


@dataclass(frozen=True)
class Strike:
    """What goes wrong at operation number `at`: the process is killed, or the operation fails with `error`.

    `onward`: every later operation fails too. Only operations of `kinds` count as struck, of any kind when it is empty.
    """

    at: int
    error: int | None = None
    onward: bool = False
    kinds: frozenset[str] = frozenset()

    def falls(self, number: int, kind: str) -> bool:
        due = number >= self.at if self.onward else number == self.at
        return due and (not self.kinds or kind in self.kinds)

    def __call__(self, path: str) -> None:
        if self.error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(self.error, os.strerror(self.error), path)


def full_from(number: int) -> Strike:
    """A disk that is full from an operation on: what needs room fails; renaming and removing do not."""
    return Strike(number, errno.ENOSPC, onward=True, kinds=frozenset({"make", "write", "mkdir"}))


def read_only_from(number: int, error: int = errno.EROFS) -> Strike:
    """A disk that is remounted read-only at an operation."""
    kinds = frozenset({"make", "change", "write", "mkdir", "rename", "remove"})
    return Strike(number, error, onward=True, kinds=kinds)


class Disk:
    """While entered, each change of a file under `root` is counted, noted in `trace` as (kind, path) and may be struck.

    Half of a write that is struck has reached the file before.
    """

    def __init__(self, root: Path, strike: Strike | None = None):
        self._root, self._strike = str(root.absolute()), strike
        self.trace: list[tuple[str, str]] = []
        self.broken: set[str] = set()

    def operation(self, kind: str, path: str, half: Callable[[], Any] | None = None) -> None:
        self.trace.append((kind, path))
        if self._strike is not None and self._strike.falls(len(self.trace), kind):
            if half is not None:
                half()
            self._strike(path)

    def _mine(self, path: Any, dir_fd: int | None = None) -> str | None:
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        text = os.fsdecode(path)
        if dir_fd is not None:
            text = os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), text)
        text = os.path.abspath(text)
        return text if text == self._root or text.startswith(self._root + os.sep) else None

    def __enter__(self) -> "Disk":
        self._originals = {name: getattr(os, name) for name in ("open", *_CHANGES)}
        self._builtin_open = builtins.open
        for name, kind in _CHANGES.items():
            setattr(os, name, self._watched(self._originals[name], kind))
        os.open = self._open_descriptor
        builtins.open = io.open = self._open_file
        return self

    def __exit__(self, *_: object) -> None:
        for name, original in self._originals.items():
            setattr(os, name, original)
        builtins.open = io.open = self._builtin_open

    def _watched(self, original: Callable[..., Any], kind: str) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(path: Any, *arguments: Any, **keywords: Any) -> Any:
            mine = self._mine(path, keywords.get("dir_fd"))
            # To make a folder that is there changes nothing, and says so on every disk.
            if mine is not None and not (kind == "mkdir" and os.path.isdir(mine)):
                self.operation(kind, mine)
            return original(path, *arguments, **keywords)

        return call

    def _open_descriptor(self, path: Any, flags: int, *arguments: Any, **keywords: Any) -> int:
        mine = self._mine(path, keywords.get("dir_fd"))
        if mine is not None and flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            made = flags & os.O_CREAT and not os.path.exists(mine)
            self.operation("make" if made else "change", mine)
        return self._originals["open"](path, flags, *arguments, **keywords)

    def _open_file(self, file: Any, mode: str = "r", *arguments: Any, **keywords: Any) -> Any:
        mine = None if isinstance(file, int) else self._mine(file)
        if mine is None or not set(mode) & set("wax+"):
            return self._builtin_open(file, mode, *arguments, **keywords)
        assert "b" in mode, f"{mine} is written as text, which this disk does not watch"
        self.operation("make", mine)
        return io.BufferedWriter(_Raw(self, mine, mode.replace("b", "")))


class _Raw(io.FileIO):
    def __init__(self, disk: Disk, path: str, mode: str):
        self._disk, self._path = disk, path
        super().__init__(path, mode)

    def write(self, content: Any) -> int:
        view = memoryview(content).cast("B")
        if self._path in self._disk.broken:
            # What could not be written is tried again when the file is closed; the disk is still full then.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        try:
            self._disk.operation("write", self._path, half=lambda: io.FileIO.write(self, view[: len(view) // 2]))
        except OSError:
            self._disk.broken.add(self._path)
            raise
        return super().write(view)


class Listener:
    """A monitor that remembers and prints what is said, and does `on_step(step)` after every step."""

    def __init__(self, on_step: Callable[[int], None] = lambda done: None):
        self.lines: list[str] = []
        self.step = on_step

    def begin_study(self, trials: int) -> None: ...
    def begin_trial(self, label: str, epochs: int, done: int, steps: int) -> "Listener":
        return self

    def end_epoch(self, row: Any) -> None: ...
    def close(self) -> None: ...

    def end_trial(self, line: str, *, trained: bool) -> None:
        self.say(line)

    def say(self, line: str) -> None:
        self.lines.append(line)
        print(line, flush=True)


@dataclasses.dataclass
class Outcome:
    """How the trials of a start stand by their records: those that failed or diverged by their labels."""

    finished: int
    failed: list[str]
    diverged: list[str]
    stopped: bool

    @classmethod
    def of(cls, folders: list[Path]) -> "Outcome":
        from hybridsep.launch.jobs import end_of
        from hybridsep.runs.record import State

        ends = {f"{folder.parts[-2]} {folder.name}": end_of(folder) for folder in folders}
        named = {end: [label for label in ends if ends[label] is end] for end in State}
        return cls(
            len(named[State.FINISHED]), named[State.FAILED], named[State.DIVERGED], bool(named[State.INTERRUPTED])
        )


class Trainer:
    """One row, ready to be trained into any results folder, in this process or in forked ones.

    Every epoch is committed unless `commit_seconds` says otherwise.
    """

    def __init__(self, *overrides: str, commit_seconds: float = 0.0):
        from hydra import compose, initialize_config_dir

        from hybridsep import config
        from hybridsep.runs.stop import Stop
        from hybridsep.train.row import prepare

        config.register()
        with initialize_config_dir(str(config.config_dir()), **config.hydra_defaults()):
            composed = compose("config", [*SMALL, *overrides])
        self.listener, self.stop = Listener(), Stop()
        self.row = dataclasses.replace(prepare(config.resolve(composed)), commit_seconds=commit_seconds)

    def folder(self, results: Path, trial: int = 0) -> Path:
        from hybridsep.runs import records

        return records.run_folder(results, self.row.config.study, self.row.config.row, trial)

    def __call__(self, results: Path, *, trials: Iterable[int] = (0,), strike: Strike | None = None) -> Disk:
        """Train, and return the disk with its trace; `outcome` and `listener.lines` tell how it went."""
        from hybridsep.errors import RecordError
        from hybridsep.train.row import train_prepared

        self.listener.lines.clear()
        self.stop.reason = ""
        self.row = dataclasses.replace(self.row, config=dataclasses.replace(self.row.config, results=str(results)))
        with self.stop, Disk(results, strike) as disk:
            errors = train_prepared(self.row, trials, monitor=self.listener, stop=self.stop)
        self.outcome = Outcome.of([self.folder(results, trial) for trial in trials])
        if errors:
            raise RecordError(errors[0])
        return disk


class Child:
    """A forked process that calls a function and exits with what it returns (0 for None, 99 for an exception)."""

    def __init__(self, function: Callable[..., int | None], *arguments: Any, **keywords: Any):
        handle, name = tempfile.mkstemp(prefix="said-")
        self._log = Path(name)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 99
            try:
                os.dup2(handle, 1)
                os.dup2(handle, 2)
                status = function(*arguments, **keywords) or 0
            except SystemExit as ended:
                status = ended.code or 0
            except BaseException:
                traceback.print_exc()
            finally:
                for stream in (sys.stdout, sys.stderr):
                    with contextlib.suppress(OSError):  # nobody may read it
                        stream.flush()
                os._exit(status)
        os.close(handle)
        self.said = ""

    def running(self) -> bool:
        """Return whether the child has not ended yet."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def wait(self) -> int:
        """Return the exit status, negative for the signal that ended it; `said` holds what it printed."""
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.said = self._log.read_text()
        self._log.unlink()
        return status

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)


def train_quietly(trainer: Trainer, results: Path, **options: Any) -> int | None:
    """Train in a child; return 1 when a trial did not finish."""
    trainer(results, **options)
    return 1 if trainer.outcome.failed or trainer.outcome.diverged or trainer.outcome.stopped else None


def command(*arguments: str, on_step: Callable[[int], None] | None = None) -> None:
    """Be `python -m hybridsep.run` with `arguments`, committing every epoch; `on_step` is done after every step."""
    from hybridsep import run
    from hybridsep.runs import progress as monitor
    from hybridsep.train import row

    prepare = row.prepare
    row.prepare = lambda *given, **more: dataclasses.replace(prepare(*given, **more), commit_seconds=0.0)

    if on_step is not None:
        monitor.TrialMonitor.step = lambda self, done: on_step(done)
    flags = [text for text in arguments if text.startswith("-")]
    sys.argv = ["run.py", *flags, *SMALL, *(text for text in arguments if text not in flags)]
    run.main()


@functools.cache
def _server() -> Any:
    context = multiprocessing.get_context("forkserver")
    # All that a trainer imports: it takes seconds.
    needed = ["torch", "tensorboard.summary.writer.record_writer", "tensorboard.plugins.hparams.metadata"]
    needed += ["tensorboard.plugins.text.metadata", "hybridsep.train.pictures"]
    context.set_forkserver_preload(
        [*needed, "hybridsep.train.row", "hydra", "hydra._internal.utils", "pandas", "pytest"]
    )
    return context


def clean(function: Callable[..., Any], *arguments: Any) -> None:
    """Call `function` in a clean process; raise AssertionError with all it printed when it raises."""
    handle, name = tempfile.mkstemp(prefix="clean-")
    process = _server().Process(target=_in_clean, args=(name, function, *arguments))
    process.start()
    process.join()
    os.close(handle)
    said = Path(name).read_text()
    Path(name).unlink()
    if process.exitcode != 0:
        raise AssertionError(f"{function.__name__} ended with status {process.exitcode}:\n{said[-6000:]}")


def _in_clean(log: str, function: Callable[..., Any], *arguments: Any) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    function(*arguments)


def stop_in_epoch(trainer: Trainer, epoch: int, *, after: int, number: int = signal.SIGTERM) -> None:
    """Let the trainer's own process get a signal after a step of an epoch, counted from now."""
    steps: Iterator[int] = iter(range(1, 1 << 30))

    def on_step(done: int) -> None:
        if next(steps) == (epoch - 1) * STEPS + after:
            os.kill(os.getpid(), number)

    trainer.listener.step = on_step
