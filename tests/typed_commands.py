"""`python -m hybridsep.run` with any words, all that trains or writes replaced: what is refused is refused for real."""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from hybridsep import run as program
from hybridsep.runs.record import State


def typed(words: Sequence[str], place: Path) -> tuple[int, str]:
    """Type `python -m hybridsep.run` with these words in the folder `place`; return `(status, standard error)`."""
    before = sys.argv, os.environ.copy(), os.getcwd()
    sys.argv = ["run.py", *words]
    said = io.StringIO()
    os.chdir(place)
    try:
        with (
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(io.StringIO()),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr("hybridsep.train.row.train_row", lambda *_, **__: [])
            patch.setattr("hybridsep.launch.jobs.end_of", lambda _: State.FINISHED)
            patch.setattr("hybridsep.launch.jobs.Job.test_error", lambda _: 1.0)
            patch.setattr("hybridsep.launch.sweeper.prepare_studies", lambda _: None)
            patch.setattr(program, "_measure", lambda *_: True)
            with pytest.raises(SystemExit) as ended:
                program.main()
    finally:
        sys.argv, environment, folder = before
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
    return ended.value.code, said.getvalue()
