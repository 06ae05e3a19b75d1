#!/usr/bin/env bash
# One session of borrowed GPU time: the GPU tests, then as much of a study as fits, and its records in one archive.
#   scripts/gpu_session.sh OUT MINUTES [overrides ...]
#   scripts/gpu_session.sh out 9 experiment=figure4 data=cifar10_jpeg data.path=cifar10-jpeg.tar.xz
# Unpack an earlier session's OUT/state.tar.gz here first, and the study goes on where it was.
set -euo pipefail
out=${1:?usage: scripts/gpu_session.sh OUT MINUTES [overrides ...]}
minutes=${2:?usage: scripts/gpu_session.sh OUT MINUTES [overrides ...]}
shift 2
python=${PYTHON:-python3}
mkdir -p "$out"
"$python" -m pytest -m gpu -q 2>&1 | tee "$out/gpu-tests.log" || echo "the GPU tests did not all pass: see $out/gpu-tests.log"
status=0
"$python" -m hybridsep.run "$@" max_minutes="$minutes" 2>&1 | tee "$out/run.log" || status=$?
tar --exclude='checkpoint*' --exclude=tensorboard -czf "$out/records.tar.gz" results/runs
unfinished=$(grep -L '"status": "finished"' results/runs/*/*/trial-*/record.json | xargs -r -n1 dirname)
[ -z "$unfinished" ] || tar --exclude=tensorboard -czf "$out/state.tar.gz" $unfinished
echo "exit status of the study: $status (75: stopped in time, to be continued)"
