#!/usr/bin/env bash
# Holds the crates that croze is made of to deny.toml: bans, licences and sources always; known holes (RustSec) with
# `cargo deny` and `cargo audit` where the database of advisories can be fetched, or with the second alone where a clone of
# it is in CROZE_ADVISORIES. Where it cannot be had this is said loudly, and with CROZE_ADVISORIES=required it fails. Both
# programs are installed in target/tools if they are not there: one and a half, and two and a half minutes of one processor.
#
#   testdata/crates.sh
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
export PATH=$tools/bin:$PATH

# They run once: to optimize them takes longer.
install() {
    command -v "cargo-$1" > /dev/null ||
        CARGO_TARGET_DIR=$tools/build CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root "$tools" \
            --version "$2" "cargo-$1"
}

install deny 0.20.2
cargo deny check bans licenses sources

advisories=${CROZE_ADVISORIES:-}
if [ -d "$advisories" ]; then
    install audit 0.22.2
    cargo audit --db "$advisories" --no-fetch
elif timeout 120 cargo deny fetch db > /dev/null 2>&1; then
    cargo deny check advisories
    install audit 0.22.2
    cargo audit
else
    cat >&2 << 'END'
################################################################################
#  NOT CHECKED: known holes in crates. The database of advisories could not be #
#  fetched. Give a clone of it in CROZE_ADVISORIES.                            #
################################################################################
END
    [ "$advisories" != required ]
fi
