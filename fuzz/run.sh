#!/usr/bin/env bash
# Fuzzes croze's parsers of foreign bytes, guided by coverage: every target of `src/lib.rs`, or those that are named, each
# for SECONDS. What reaches something new is kept in corpus/, made as small as it can be; an input for which something does
# not hold ends the run, and lies in target/fuzz. Needs stable Rust and a C++ compiler.
#
#   fuzz/run.sh SECONDS [TARGET…]             fuzzes
#   fuzz/run.sh --check SECONDS [TARGET…]     the same for continuous integration: quickly compiled, and keeps nothing
#                                             (compiling takes 80 seconds of one processor, else 4 minutes)
set -euo pipefail
cd "$(dirname "$0")"

keep=true
if [ "${1:-}" = --check ]; then
    keep=false
    shift
fi
seconds=${1:?how many seconds for each target?}
shift
# Names stand in the table of `src/lib.rs`, each on a line of its own.
[ "$#" -gt 0 ] || mapfile -t targets < <(sed -n 's/^    target("\([a-z]*\)".*/\1/p' src/lib.rs)
[ "$#" -eq 0 ] || targets=("$@")

# Only crates of this workspace are compiled anew: they are what is fuzzed. To optimize them is worth it from minutes on.
export RUSTC_WORKSPACE_WRAPPER=$PWD/instrument.sh
! $keep || export CARGO_PROFILE_DEV_OPT_LEVEL=1
fuzzer=$(cargo build --locked --package fuzz --features coverage --bin coverage --message-format json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\/coverage\)".*/\1/p')
artifacts=$(dirname "$(dirname "$fuzzer")")/fuzz
mkdir -p "$artifacts"

# Parsers of files read them here, and memory is faster than a disk.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
TMPDIR=$(mktemp -d)
export TMPDIR
work=$(mktemp -d)
trap 'rm -rf "$TMPDIR"' EXIT

fuzz() {
    local target=$1
    shift
    CROZE_FUZZ_TARGET=$target "$fuzzer" -rss_limit_mb=1024 -timeout=10 -artifact_prefix="$artifacts/$target-" "$@"
}

for target in "${targets[@]}"; do
    longest=$(sed -n "s/^    target(\"$target\", [a-z_:]*, \([0-9]*\),.*/\1/p" src/lib.rs)
    : "${longest:?"$target is no target"}"
    mkdir -p "corpus/$target" "$work/$target"
    # What it finds on the way is many times what is worth keeping.
    fuzz "$target" -dict=dictionary.txt -max_len="$longest" -max_total_time="$seconds" -print_final_stats=1 \
        "$work/$target" "corpus/$target" > "$work/log" 2>&1 || { tail -n 40 "$work/log"; exit 1; }
    echo "fuzz: $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log") inputs in $seconds s"
    $keep || continue
    mkdir "$work/$target.kept"
    fuzz "$target" -merge=1 -use_counters=0 -max_len="$longest" "$work/$target.kept" "corpus/$target" "$work/$target" \
        > "$work/log" 2>&1 || { tail -n 40 "$work/log"; exit 1; }
    rm -rf "corpus/$target"
    mv "$work/$target.kept" "corpus/$target"
    echo "fuzz: $target: $(find "corpus/$target" -type f | wc -l) inputs kept, $(du -bs "corpus/$target" | cut -f1) bytes"
done
