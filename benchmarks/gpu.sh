#!/usr/bin/env bash
# What is open for want of a GPU, in one script of less than ten minutes: benchmarks/gpu.sh OUT [SECONDS [PARTS]]
#
#   tests     what only a GPU shows (pytest -m gpu), one batch overfitted by the full-size models among it
#   goals     goal 2 with its first step and the largest costs of a step, then the ladder: goals 2 and 3, the switches
#   weights   the weights that ship go on, both at once, on what the other cores render meanwhile
#
# Logs, curves and weights go to OUT as they come. Pictures are kept in WORK, so that a second call, of the weights
# alone, goes on where the first one was. Cores 0 to 5 serve the GPU, the others render.
set -u
cd "$(dirname "$0")/.."
OUT=$(mkdir -p "$1" && cd "$1" && pwd)
LIMIT=${2:-580}
PARTS=${3:-tests goals weights}
WORK=${WORK:-/dev/shm/handdata-gpu}
DEVICE=${DEVICE:-cuda}
export PYTHONPATH=$PWD OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
began=$SECONDS
left() { echo $((LIMIT - SECONDS + began)); }
mkdir -p "$WORK"
cores=$(nproc)
mine="taskset -c 0-$((cores > 8 ? 5 : cores - 1))"
others="taskset -c $((cores > 8 ? 6 : 0))-$((cores - 1))"
workers=$((cores > 8 ? (cores - 6) / 2 : 1))
release="python3 tools/train_release.py --home $WORK/release"
spotter="python3 tools/train_spotter.py --home $WORK/spotter"

if ! pgrep -f "home $WORK/release" > /dev/null; then # a session of its own: it renders on between two calls
  setsid $others $release --samples 0 --hands 250000 --first 18 --workers $workers > "$OUT/render_hands.log" 2>&1 &
  setsid $others $spotter --samples 0 --frames 200000 --workers $workers > "$OUT/render_pictures.log" 2>&1 &
fi

for part in $PARTS; do
  echo "== $part, $(left) s are left"
  case $part in
    tests)
      timeout 130 $mine python3 -m pytest -q -n 4 -p no:cacheprovider -m gpu tests/train/test_gpu.py \
        tests/train/test_overfit.py --durations=6 > "$OUT/tests.log" 2>&1
      tail -15 "$OUT/tests.log"
      ;;
    goals)
      goals="$mine python3 benchmarks/train_gpu.py --scratch $WORK/bench --device $DEVICE ${SMALL:-}"
      timeout 90 $goals --goal 2 --steps 60 --set loop.compile=off --profile > "$OUT/goal2.log" 2>&1
      tail -12 "$OUT/goal2.log"
      timeout 330 $goals --ladder --minutes "$(python3 -c "print(min(4.5, $(left) / 60 - 0.5))")" 2>&1 | tee "$OUT/ladder.log"
      ;;
    weights)
      span=$(($(left) - 5))
      timeout -k 3 $span $mine $release --hands 0 --samples 900000000 --device $DEVICE --init-from compact \
        --set optim.lr=0.0016 --set data.batch=256 --set loop.batches=1000 --set augment.every.coarse=0.25 \
        --set data.loader_threads=2 --set loop.val_batches=2 > "$OUT/release.log" 2>&1 &
      hands=$!
      timeout -k 3 $span $mine $spotter --frames 0 --samples 900000000 --falling 1 --batch 256 --lr 0.003 \
        --device $DEVICE --init-from handdata/model/detector_weights/spotter.safetensors > "$OUT/spotter.log" 2>&1 &
      wait $hands $!
      for tool in release spotter; do
        tail -2 "$OUT/$tool.log"
        cp "$WORK/$tool/curve.jsonl" "$OUT/$tool.jsonl"
        cp "$WORK/$tool/"*.safetensors "$OUT/"
      done
      ;;
  esac
done
