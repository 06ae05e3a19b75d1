"""Benchmarks for developers: `make bench-NAME`, or `python -m scripts.benchmarks.NAME`; each has `--help`."""
