#!/usr/bin/env bash
# Collect what a GPU machine without a network needs beside its own torch, NumPy, pandas and the like.
#   scripts/offline_wheels.sh .wheels        # here, with a network
#   pip install --no-index --no-deps --target /tmp/site .wheels/*.whl && export PYTHONPATH=/tmp/site:src    # there
set -euo pipefail
folder=${1:?usage: scripts/offline_wheels.sh FOLDER}
python=${PYTHON:-.venv/bin/python}
mkdir -p "$folder"
for package in hydra-core omegaconf antlr4-python3-runtime annotated-types filelock; do
  version=$("$python" -c "from importlib.metadata import version; print(version('$package'))")
  # antlr4-python3-runtime comes as source only; it is pure Python, so a wheel built here runs anywhere.
  python3 -m pip wheel --quiet --no-deps --wheel-dir "$folder" "$package==$version"
done
ls "$folder"
