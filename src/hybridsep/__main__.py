"""`python -m hybridsep` is `python -m hybridsep.run`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("hybridsep.run", run_name="__main__", alter_sys=True)
