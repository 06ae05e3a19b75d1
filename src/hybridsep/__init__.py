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
