#!/usr/bin/env bash
# One session of borrowed GPU time: the GPU tests, the benchmark, then as much of a study as fits; all in one folder.
#   scripts/gpu_session.sh OUT MINUTES [overrides ...]
#   scripts/gpu_session.sh out 9 experiment=figure4 data=cifar10_jpeg data.path=cifar10-jpeg.tar.xz
#   ONLY=study scripts/gpu_session.sh out 9 experiment=figure4 ...      # tests, bench or study alone
# Short blocks, so that the benchmark takes some minutes. torch.compile, which takes a minute a row, when there is time:
#   python -m hybridsep.bench throughput size=paper throughput.compile=true models=[separable,inception] label=compile
# MINUTES are those of the study. Unpack an earlier session's OUT/state.tar.gz here first, and it goes on where it was.
set -euo pipefail
out=${1:?usage: scripts/gpu_session.sh OUT MINUTES [overrides ...]}
minutes=${2:?usage: scripts/gpu_session.sh OUT MINUTES [overrides ...]}
shift 2
python=${PYTHON:-python3}
only=${ONLY:-tests bench study}
mkdir -p "$out"
if [[ $only == *tests* ]]; then
  "$python" -m pytest -m gpu -q -o addopts= 2>&1 | tee "$out/gpu-tests.log" || echo "not all GPU tests passed: see $out/gpu-tests.log"
fi
if [[ $only == *bench* ]]; then
  "$python" -m hybridsep.bench throughput size=paper throughput.rounds=5 throughput.seconds=0.3 2>&1 \
    | tee "$out/bench.log" || echo "no benchmark: see $out/bench.log"
  "$python" -m hybridsep.bench profile size=paper 2>&1 | tee "$out/profile.log" || echo "no profile: see $out/profile.log"
  tar -czf "$out/bench.tar.gz" results/bench
fi
if [[ $only == *study* ]]; then
  status=0
  "$python" -m hybridsep.run "$@" max_minutes="$minutes" 2>&1 | tee "$out/run.log" || status=$?
  tar --exclude='checkpoint*' --exclude='*tfevents*' -czf "$out/records.tar.gz" results/runs
  unfinished=$(grep -L '"status": "finished"' results/runs/*/*/trial-*/record.json | xargs -r -n1 dirname)
  [ -z "$unfinished" ] || tar --exclude='*tfevents*' -czf "$out/state.tar.gz" $unfinished
  echo "exit status of the study: $status (75: stopped in time, to be continued)"
fi
