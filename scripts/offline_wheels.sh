#!/usr/bin/env bash
# Collect in FOLDER what a GPU machine without a network lacks: wheels of the packages that its image does not have, and
# the commit, which a copy without .git cannot tell. Run in the repository, with what is in src/ and conf/ committed.
#   scripts/offline_wheels.sh .lease && cp cifar10-jpeg.tar.xz .lease/
# Then, there: scripts/lease.sh (docs/gpu.md).
set -euo pipefail
folder=${1:?usage: scripts/offline_wheels.sh FOLDER}
python=${PYTHON:-.venv/bin/python}
# What the image has, with all that it needs; there it is Python 3.12 on x86-64. Small pure packages whose version there
# could be too old (filelock, typing-extensions) are carried.
there="torch torchvision numpy pillow pandas scipy statsmodels matplotlib rich tensorboard jinja2 pyyaml packaging"
target=(--python-version "${PYTHON_THERE:-3.12}" --implementation cp)
for tag in manylinux_2_28 manylinux_2_17 manylinux2014; do target+=(--platform "${tag}_x86_64"); done

if [ -n "$(git status --porcelain -- src conf)" ]; then
  echo "src/ or conf/ is not committed, so records made there would name a commit that is not what ran" >&2
  exit 2
fi
mkdir -p "$folder/wheels"
rm -f "$folder"/wheels/*.whl
git rev-parse HEAD >"$folder/commit"

# Every package that the project needs, and what these need, without what is there: NAME==VERSION as installed here.
"$python" - $there <<'PYTHON' |
import sys
from importlib.metadata import requires, version
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

found, waiting = set(sys.argv[1:]), ["hybridsep"]
while waiting:
    for requirement in map(Requirement, requires(waiting.pop()) or ()):
        name = canonicalize_name(requirement.name)
        if name not in found and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
            found.add(name)
            waiting.append(name)
            print(f"{name}=={version(name)}")
PYTHON
  while read -r package; do
    # Source only (antlr4-python3-runtime): pure Python, so a wheel built here runs anywhere.
    "$python" -m pip download --quiet --no-deps --only-binary=:all: "${target[@]}" -d "$folder/wheels" "$package" \
      2>/dev/null || "$python" -m pip wheel --quiet --no-deps -w "$folder/wheels" "$package"
  done
ls "$folder/wheels"
