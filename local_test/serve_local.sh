#!/usr/bin/env bash
# Runs the container's server without a container, on 127.0.0.1: with the model in test_dir/model, or the shipped one.
# Usage: [PORT=8080] local_test/serve_local.sh
# S3 is opened with your AWS credentials; AWS_ENDPOINT_URL points it at an emulator.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
pothole="$here/../.venv/bin/pothole"
if [[ ! -x $pothole ]]; then
    echo "$pothole is missing: run 'make setup' first." >&2
    exit 1
fi

export SAGEMAKER_BIND_TO_PORT="${PORT:-8080}"
export MODEL_SERVER_HOST=127.0.0.1
export SM_MODEL_DIR="$here/test_dir/model"
export TMPDIR="$here/test_dir/tmp"
mkdir -p "$TMPDIR"
exec "$pothole" serve
