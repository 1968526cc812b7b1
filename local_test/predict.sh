#!/usr/bin/env bash
# Sends a picture, a video or a job (JSON) to the local server; ends with 0 if it is answered with success.
# Usage: [PORT=8080] [ACCEPT=image/jpeg] local_test/predict.sh [PAYLOAD]     (default: road.jpg beside this script)
# A picture or video that comes back is written to test_dir/output, everything else is printed.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
payload="${1:-$here/road.jpg}"
if [[ ! -f $payload ]]; then
    echo "There is no file $payload." >&2
    exit 2
fi

name="$(basename -- "$payload")"
extension="${name##*.}"
case "${extension,,}" in
    json) type=application/json ;;
    jpg | jpeg) type=image/jpeg ;;
    tif | tiff) type=image/tiff ;;
    heic | heif | hif) type=image/heic ;;
    png | bmp | gif | webp | avif) type="image/${extension,,}" ;;
    mp4 | m4v) type=video/mp4 ;;
    mov) type=video/quicktime ;;
    avi | mkv | webm | mpg | mpeg | ts | mts | m2ts | wmv | flv | 3gp) type="video/x-${extension,,}" ;;
    *)
        echo "$name is neither .json nor a picture or video that is known by its extension." >&2
        exit 2
        ;;
esac

answer="$(mktemp)"
trap 'rm -f "$answer"' EXIT
# --upload-file streams; --data-binary would take a whole video into memory.
result="$(curl --silent --show-error --globoff --request POST --upload-file "$payload" --output "$answer" \
    --header "Content-Type: $type" --header "Accept: ${ACCEPT:-*/*}" \
    --write-out '%{http_code} %{content_type}' "http://127.0.0.1:${PORT:-8080}/invocations")"
read -r status answered <<< "$result"

echo "HTTP $status"
case "$answered" in
    image/* | video/*)
        marked="$here/test_dir/output/${name%.*}_output.${answered#*/}"
        cp "$answer" "$marked"
        echo "$marked"
        ;;
    *) cat "$answer" ;;
esac
[[ $status -eq 200 || $status -eq 202 ]] # done, or accepted and in work
