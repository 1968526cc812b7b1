#!/usr/bin/env bash
# Asks the local server whether it is ready; ends with 0 if it is.
# Usage: [PORT=8080] local_test/ping.sh
set -euo pipefail

url="http://127.0.0.1:${PORT:-8080}/ping"
answer="$(curl --silent --show-error --max-time 10 --write-out '\n%{http_code}' "$url")"
status="${answer##*$'\n'}"
echo "HTTP $status"
echo "${answer%$'\n'*}"
[[ $status -eq 200 ]]
