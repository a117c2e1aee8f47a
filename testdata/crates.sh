#!/usr/bin/env bash
# Holds the crates that croze is made of to deny.toml: bans, licences and sources always; known holes (RustSec) with
# `cargo deny` and `cargo audit`, if the database of advisories can be fetched, or lies as a git clone in CROZE_ADVISORIES.
# Where it cannot be had this is said, and with CROZE_ADVISORIES=required it fails. Both programs are installed in
# target/tools if they are not there: a minute or two each.
#
#   testdata/crates.sh
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
export PATH=$tools/bin:$PATH

# They run once: to compile them takes longer.
install() {
    command -v "cargo-$1" > /dev/null ||
        CARGO_TARGET_DIR=$tools/build CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root "$tools" \
            --version "$2" "cargo-$1"
}

install deny 0.20.2
cargo deny check bans licenses sources

database=${CROZE_ADVISORIES:-}
config=deny.toml
if [ -d "$database" ]; then
    database=$(realpath "$database")
    config=$(mktemp --suffix .toml)
    trap 'rm -rf "$config" "$config.dbs"' EXIT
    sed "s|^\[advisories\]|&\ndb-urls = [\"file://$database\"]\ndb-path = \"$config.dbs\"|" deny.toml > "$config"
fi
if [ -d "$database" ] || cargo deny fetch db > /dev/null 2>&1; then
    cargo deny check --config "$config" advisories
    install audit 0.22.1
    if [ -d "$database" ]; then cargo audit --db "$database" --no-fetch; else cargo audit; fi
    exit
fi
cat >&2 << 'END'
################################################################################
#  NOT CHECKED: known holes in crates. The database of advisories could not be #
#  fetched. Give a clone of it in CROZE_ADVISORIES.                            #
################################################################################
END
[ "$database" != required ]
