#!/usr/bin/env bash
# Installs system packages with apt where root or passwordless sudo allows it.
# Elsewhere it says what to install by hand and goes on: what can do without them does.
#
# Usage: local_test/install_system_packages.sh PACKAGE...     (each package brings a command of its own name)
set -euo pipefail

if [[ $# -eq 0 ]]; then
    echo "Usage: $0 PACKAGE..." >&2
    exit 2
fi

# A plain user's PATH on Debian lacks the folder where nginx lives.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

missing=()
for package in "$@"; do
    command -v "$package" > /dev/null || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
if [[ $EUID -ne 0 ]]; then
    as_root=(sudo --non-interactive)
fi
if ! command -v apt-get > /dev/null || ! "${as_root[@]}" true 2> /dev/null; then
    echo "Not installed: ${missing[*]}. Installing needs apt-get and root (or sudo without a password)." >&2
    echo "Install by hand, then start again: ${missing[*]}. Going on without." >&2
    exit 0
fi

# Installed for our own use on our own ports: nothing of it may start by itself and listen to the network.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" > /dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

echo "Installing ${missing[*]} with apt-get ..." >&2
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
"${apt[@]}" update || true # one source that fails is no reason to do without the others
for package in "${missing[@]}"; do
    # One by one: a name that this distribution does not know must not cost the others.
    if "${apt[@]}" install -y --no-install-recommends "$package" > /dev/null; then
        "${as_root[@]}" update-rc.d "$package" disable 2> /dev/null || true # most have no service
    else
        echo "apt-get could not install $package: install it by hand. Going on without." >&2
    fi
done
