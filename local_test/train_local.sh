#!/usr/bin/env bash
# Trains on a rendered data set, in the folders that SageMaker would mount below /opt/ml.
#
# Usage: local_test/train_local.sh [flag of `train` ...]
#        PICTURES=200 local_test/train_local.sh --epochs 20     more pictures, longer
set -euo pipefail
cd "$(dirname "$0")"

bin=${BIN:-../.venv/bin}
ml=test_dir
for channel in train validation; do
    if [[ ! -f $ml/input/data/$channel/annotations.json ]]; then
        seed=1
        [[ $channel == train ]] || seed=2
        "$bin/python" render_road.py dataset "$ml/input/data/$channel" --pictures "${PICTURES:-24}" --seed "$seed" --size 640x384
    fi
done

exec "$bin/train" \
    --train "$ml/input/data/train" --validation "$ml/input/data/validation" \
    --model-dir "$ml/model" --checkpoint-dir "$ml/checkpoints" \
    --pretrained ../container/pothole/weights --epochs 2 --steps-per-epoch 20 --evaluate-every 1 --learning-rate 0.0002 "$@"
