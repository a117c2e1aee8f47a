#!/usr/bin/env bash
# Makes the base images that the tests and the demonstration build on, from this machine's own Debian
# packages: there is no public registry in CI. The result is one OCI image layout with the tags
#
#   busybox   the static busybox with its applets, a few users and groups
#   debian    a minimal Debian (mmdebstrap --variant=minbase) with this machine's package sources
#
# usage: base-images.sh LAYOUT-DIR
# A layout that is already complete is left alone. Must run as root (packages' owners are kept).
set -euo pipefail

layout=${1:?usage: base-images.sh LAYOUT-DIR}
[ -e "$layout/complete" ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$layout"
mkdir -p "$(dirname "$layout")"
umoci init --layout "$work/layout"

# add_image TAG LAYER-TAR CMD…: one image of one layer.
add_image() {
    local tag=$1 layer=$2
    shift 2
    umoci new --image "$work/layout:$tag"
    umoci raw add-layer --image "$work/layout:$tag" "$layer"
    umoci config --image "$work/layout:$tag" --no-history --architecture "$(dpkg --print-architecture)" --os linux \
        --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        "${@/#/--config.cmd=}"
}

busybox() {
    local root=$work/busybox applet
    mkdir -p "$root"/{bin,dev,etc,home,proc,root,sys,tmp,usr/bin,usr/sbin,var/{spool,tmp}}
    chmod 0700 "$root/root"
    chmod 1777 "$root/tmp" "$root/var/tmp"
    cp /bin/busybox "$root/bin/busybox"
    for applet in $(/bin/busybox --list); do
        [ "$applet" = busybox ] || ln "$root/bin/busybox" "$root/bin/$applet"
    done
    cat > "$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
PASSWD
    cat > "$root/etc/group" <<'GROUP'
root:x:0:
daemon:x:1:
wheel:x:10:root
users:x:100:
nobody:x:65534:
GROUP
    tar --create --file "$work/busybox.tar" --directory "$root" --numeric-owner --owner 0 --group 0 --sort name --mtime @1700000000 .
    add_image busybox "$work/busybox.tar" sh
}

debian() {
    # shellcheck disable=SC1091
    . /etc/os-release
    # Only Debian's own sources: what else this machine knows has no business in a base image.
    local sources=$work/debian.sources
    if [ -e /etc/apt/sources.list.d/debian.sources ]; then
        cp /etc/apt/sources.list.d/debian.sources "$sources"
    else
        sources=$work/debian.list
        grep -E '^deb ' /etc/apt/sources.list > "$sources"
    fi
    mmdebstrap --quiet --variant=minbase --skip=cleanup/apt/lists \
        --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"' \
        "$VERSION_CODENAME" "$work/debian.tar" "$sources"
    add_image debian "$work/debian.tar" bash
}

busybox
debian
touch "$work/layout/complete"
mv "$work/layout" "$layout"
