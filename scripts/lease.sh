#!/usr/bin/env bash
# A GPU that is borrowed for minutes: one call proves that training works there, measures, trains and packs what is done.
#   scripts/lease.sh OUT SECONDS ROWS [key=value ...]       # OUT: a folder for what comes back; the rest: as for run
#   scripts/lease.sh out 570 darknet_separable,darknet experiment=figure6 trial=0
#   EPOCHS=fit scripts/lease.sh out 570 separable,separable_equivalent,hybrid experiment=figure4
# The same call on a machine that is still there goes on: nothing is proved, measured or trained twice.
# EPOCHS: fit (as many as fit into the call, by measurement), a number, or, left out, the experiment's own.
# MEASURE: seconds for the step times (90; 0: none), OTHERS: rows to measure beside those of the study.
# LEASE: the folder of scripts/offline_wheels.sh with the JPEG copy (.lease). STATE: what stays for the next call.
# docs/gpu.md has the preparation, the order of the leases and what to do with each outcome.
set -uo pipefail
usage="usage: scripts/lease.sh OUT SECONDS ROWS [key=value ...]"
out=${1:?$usage} limit=${2:?$usage} rows=${3:?$usage}
shift 3
lease=${LEASE:-.lease} state=${STATE:-/dev/shm/hybridsep} python=${PYTHON:-python3} measure=${MEASURE:-90}
mkdir -p "$out" "$state"
exec > >(tee -a "$out/lease.log") 2>&1
log=$!
export PYTHONUNBUFFERED=1 PYTHONPATH=$state/site:src HYBRIDSEP_COMMIT=${HYBRIDSEP_COMMIT:-$(cat "$lease/commit")}
say() { echo "[$SECONDS s] $*"; }
left() { echo $((limit - SECONDS)); }
value_of() { printf '%s\n' "${@:2}" | sed -n "s/^$1=//p" | tail -n 1; }
finish() {
  pack
  say "$(du -h "$out/records.tar.gz" | cut -f1) in $out/records.tar.gz: $(tar -tzf "$out/records.tar.gz" | grep -c predictions.npz) finished trials"
  exec >&- 2>&-
  wait "$log"
  exit "$1"
}
# Finished trials, and what was asked of their study. Written anew every half minute, because a call that runs into its
# limit is killed together with this program.
pack() {
  (
    cd "$state" && mkdir -p results/runs
    find results/runs -name record.json -exec grep -l '"status": "finished"' {} + | xargs -r -n1 dirname
    find results/runs -name asked.json
  ) | tar -C "$state" -czf "$out/records.part" --exclude='checkpoint*' --exclude='*tfevents*' --exclude='*.lock' --files-from=-
  mv "$out/records.part" "$out/records.tar.gz"
  # Files up to 16 MiB come back.
  [ "$(stat -c %s "$out/records.tar.gz")" -lt 16000000 ] || split -b 15M -d "$out/records.tar.gz" "$out/records.tar.gz."
}

if [ ! -e "$state/site" ]; then
  "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$state/site.part" "$lease"/wheels/*.whl &&
    mv "$state/site.part" "$state/site" || finish 2
fi
nvidia-smi --query-gpu=name,memory.total,memory.used,clocks.sm,driver_version --format=csv,noheader || say "no GPU"
"$python" -c "import sys, torch; print('Python', sys.version.split()[0], 'torch', torch.__version__)"

size=$(value_of size "$@")
size=${size:-paper}
data=(data=cifar10_jpeg "data.path=$lease/cifar10-jpeg.tar.xz")
[ -z "$(value_of data "$@")" ] || data=()

if [ ! -e "$state/options" ]; then
  # Two trials side by side, five epochs: the step is captured in the first, the evaluation later.
  timeout -k 10 -s INT 100 "$python" -m hybridsep.run model=inception "size=$size" data=synthetic data.source.train=512 \
    data.source.test=1000 schedule=short schedule.epochs=5 evaluation.images=600 study=canary trial=0..1 trials_at_once=2 \
    data_dir="$state/data" results="$state/canary" ${CANARY:-} || say "the canary ended with $?"
  finished=$(find "$state/canary/runs" -name record.json -exec grep -l '"status": "finished"' {} + | wc -l)
  eager=$(find "$state/canary/runs" -name record.json -exec grep -l '"cuda_graph": "none' {} + | wc -l)
  if [ "$finished" -ne 2 ]; then
    say "CANARY: $finished of 2 trials finished, so without graphs and one trial at a time"
    echo "cuda_graph=false trials_at_once=1" >"$state/options"
  elif [ "$eager" -ne 0 ]; then
    say "CANARY: trained, but $eager of 2 trials captured no graph, so without graphs"
    echo "cuda_graph=false" >"$state/options"
  else
    say "CANARY: trained; $(grep -q '"gpu": "' "$state"/canary/runs/canary/*/trial-00/record.json && echo captured || echo "no GPU, so nothing to capture")"
    : >"$state/options"
  fi
fi
options=($(cat "$state/options"))

epochs=${EPOCHS:-}
if [ "$epochs" = fit ] && [ -e "$state/epochs" ]; then epochs=$(cat "$state/epochs"); fi
if [ ${#options[@]} -eq 0 ] && [ "$measure" -gt 0 ] && [ ! -e "$state/measured" ]; then
  images=$(value_of data.source.train "$@")
  timeout -k 10 -s INT $((measure + 30)) "$python" -m scripts.benchmarks.step_times --results "$out" --size "$size" \
    --seconds "$measure" --train-images "${images:-50000}" --study-seconds $(($(left) - measure - 50)) --studied "$(tr , '\n' <<<"$rows" | wc -l)" \
    --models ${rows//,/ } ${OTHERS:-} -- "$@" | tee "$state/measured"
  fits=$(sed -n 's/^epochs //p' "$state/measured")
  [ "$epochs" != fit ] || epochs=${fits:-fit}
fi
if [ "$epochs" = fit ]; then
  epochs=6
  say "no measurement says how many epochs fit: $epochs"
fi
schedule=()
if [ -n "$epochs" ]; then
  echo "$epochs" >"$state/epochs"
  schedule=("schedule.epochs=$epochs" schedule.warmup_epochs=$((epochs > 1 ? 1 : 0)))
fi

if [ "$(left)" -lt 60 ]; then
  say "no time for the study"
  finish 75
fi
while sleep 30; do pack; done >/dev/null 2>&1 &
packing=$!
say "study: $rows $* ${schedule[*]:-its own epochs}"
# 45 s before the end: a stop request is seen between two epochs that were handed over, then checkpoints are written.
"$python" -m hybridsep.run -m "model=$rows" "${data[@]}" "$@" "${schedule[@]}" "${options[@]}" data_dir="$state/data" \
  results="$state/results" max_minutes="$(awk "BEGIN { print ($(left) - 45) / 60 }")"
status=$?
kill "$packing"
say "the study ended with $status (0: done; 75: stopped in time, the same call goes on)"
finish "$status"
