"""What several test files share: commands run in this process, and a study small enough for a test."""

import os
import signal
import sys
from pathlib import Path

import pytest

# What a test says must not depend on who began the tests: pytest-xdist sets COLUMNS in its workers, and a shell lets
# its background jobs ignore Ctrl-C, and nohup a lost connection, which their children would inherit.
os.environ.pop("COLUMNS", None)
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# One thread: the tests' networks are too small to gain from more, and bits can depend on the number.
TINY = (
    "data=synthetic",
    "data.source.train=192",
    "data.source.test=100",
    "size=tiny",
    "schedule=short",
    "schedule.epochs=2",
    "schedule.warmup_epochs=1",
    "schedule.batch_size=64",
    "threads=1",
    "study=tiny",
)


def cannot_be_written(results: Path, row: str, trial: int) -> None:
    """Let a trial of the study `tiny` fail in its first epoch: a folder stands where its history should be."""
    (results / f"runs/tiny/{row}/trial-{trial:02d}/history.csv").mkdir(parents=True)


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """Return a function that runs `python -m hybridsep.run` with overrides: `(exit status, standard error)`."""
    from hybridsep.run import main

    def command(*overrides: str, results: str | None = None) -> tuple[int, str]:
        # A developer's HYDRA_FULL_ERROR would change what a user sees.
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        flags = [text for text in overrides if text.startswith("-")]
        others = [text for text in overrides if not text.startswith("-")]
        place = results or str(tmp_path / "results")
        monkeypatch.setattr(
            sys, "argv", ["run.py", *flags, *others, f"results={place}", f"data_dir={tmp_path / 'data'}"]
        )
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        os.environ.pop("HYDRA_FULL_ERROR", None)
        return ended.value.code, capfd.readouterr().err

    return command
