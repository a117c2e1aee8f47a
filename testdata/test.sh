#!/usr/bin/env bash
# Passes all tests on a Debian machine with Rust: installs what they need, makes the base images, and
# runs the suites of the three crates.
set -euo pipefail
cd "$(dirname "$0")/.."

testdata/setup.sh
export CROZE_TEST_IMAGES=${CROZE_TEST_IMAGES:-$PWD/target/base-images}
testdata/base-images.sh "$CROZE_TEST_IMAGES"
exec cargo test --workspace --locked --no-fail-fast "$@"
