#!/usr/bin/env bash
# Installs what the demonstration and the tests need on a Debian machine with Rust: packages, and two
# unprivileged users, `croze-ci` with subordinate ids and `croze-nosub` without. Run as root; what is
# there already is left alone.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "setup.sh: must run as root: it installs packages and makes users" >&2; exit 9; }

# command → the package that has it
declare -A packages=(
    [bsdtar]=libarchive-tools [buildah]=buildah [busybox]=busybox-static [crun]=crun [docker-registry]=docker-registry
    [c++]=g++ [gcc]=gcc [getcap]=libcap2-bin [git]=git [jq]=jq [mkfs.ext4]=e2fsprogs [mkfs.xfs]=xfsprogs [mmdebstrap]=mmdebstrap
    [newuidmap]=uidmap [patchelf]=patchelf [podman]=podman [python3]=python3 [runc]=runc [setpriv]=util-linux
    [skopeo]=skopeo [sshd]=openssh-server [ssh-agent]=openssh-client
    [strace]=strace [strip]=binutils [umoci]=umoci [useradd]=passwd [xz]=xz-utils [zstd]=zstd
)
missing=()
for command in "${!packages[@]}"; do
    command -v "$command" > /dev/null || missing+=("${packages[$command]}")
done
if [ "${#missing[@]}" -gt 0 ]; then
    echo "setup: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
fi

id croze-ci > /dev/null 2>&1 || useradd --create-home --shell /bin/bash croze-ci
id croze-nosub > /dev/null 2>&1 || useradd --create-home --shell /bin/bash croze-nosub
for kind in uid gid; do
    file=/etc/sub$kind
    touch "$file"
    grep -q '^croze-ci:' "$file" || usermod "--add-sub${kind}s" 1000000-1065535 croze-ci
    # useradd gives every user a range; this one must have none.
    sed -i '/^croze-nosub:/d' "$file"
done
