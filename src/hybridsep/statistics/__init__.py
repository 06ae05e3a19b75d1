"""What numbers can say: arrays go in, frozen dataclasses come out.

No files, no rows by name, no tables. What cannot be computed (one trial, no spread) is None, with a `Reason`. The
statistics are those of SciPy and statsmodels, which are imported where they are used, so that `--help` does not wait
for them.
"""
