#!/usr/bin/env bash
# Trains on a rendered data set, in the folders that SageMaker would mount below /opt/ml. Takes a few minutes.
# The hyperparameters are in test_dir/input/config/hyperparameters.json; flags of `pothole train` go before them.
#
# Usage: local_test/train_local.sh [flag of `pothole train` ...]
#        PICTURES=200 local_test/train_local.sh --epochs 20     more pictures, longer
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bin="${BIN:-$here/../.venv/bin}"
root="$here/test_dir"
if [[ ! -x $bin/pothole ]]; then
    echo "$bin/pothole is missing: run 'make setup' first." >&2
    exit 1
fi

seed=1
for channel in train validation; do
    folder="$root/input/data/$channel"
    if [[ ! -f $folder/annotations.json ]]; then
        "$bin/python" -m roads dataset "$folder" --pictures "${PICTURES:-24}" --seed "$seed" --size 640x384
    fi
    seed=$((seed + 1))
done

"$bin/pothole" train --root "$root" "$@"
echo
pictures=("$root"/input/data/validation/images/*)
echo "The model is in $root/model. Serve it with local_test/serve_local.sh, then mark a picture:"
echo "    local_test/predict.sh ${pictures[0]}"
