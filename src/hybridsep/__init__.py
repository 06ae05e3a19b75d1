"""hybridsep: are two network modules really the same thing?"""

import os
import sys

__version__ = "0.1.0"

# `python -m hybridsep.run` puts the current folder first on the path, where a file called random.py or queue.py would
# take the place of Python's own. (While Python looks for a module to run, the program's name is "-m".) A module that a
# configuration names is still found there: `hybridsep.config.targets`.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    if sys.path[0] != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
        del sys.path[0]

# After the path is right, as this is the first import of a module that Python has not loaded itself.
from typing import TYPE_CHECKING  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from hybridsep.train.trained import TrainedNetwork


def load(folder: "str | Path") -> "TrainedNetwork":
    """Return the network of a finished trial's folder with what its inputs and outputs mean. Raises RecordError."""
    from hybridsep.train.trained import load  # imports torch

    return load(folder)


def trials(study: str, *, results: str | os.PathLike[str] = "results") -> "pd.DataFrame":
    """Return a study's trials as a pandas table, a line a trial (`hybridsep.report.frame.trials`).

    Raises ConfigError for a study that is not under `results`.
    """
    from pathlib import Path

    from hybridsep.report import frame

    return frame.trials(study, Path(results))
