#!/usr/bin/env bash
# Passes all tests on a Debian machine with Rust: installs what they need, makes the base images, and
# runs the suites of all crates. Those that run steps in sandboxes run them with the optimised build, which
# is what users have: compilers hand registers on that system calls see, and differently in each.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

export CROZE_TEST_IMAGES=${CROZE_TEST_IMAGES:-$PWD/target/base-images}
testdata/setup.sh && testdata/base-images.sh "$CROZE_TEST_IMAGES" || exit

failed=0
run() {
    cargo test --workspace --locked --no-fail-fast "$@" || failed=1
}
run --lib --bins --test it --test dockerfile --test client --test replay "$@"
run --doc "$@"
run --release --test sandbox --test pods --no-run

# The steps of `sandbox` mostly wait, for signals and the like: `pods` can have the machine meanwhile.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
(run --release --test sandbox "$@" && exit "$failed") > "$log" 2>&1 &
run --release --test pods "$@"
wait $! || failed=1
cat "$log"
exit "$failed"
