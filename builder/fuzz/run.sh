#!/usr/bin/env bash
# Fuzzes the Dockerfile language: every target, or those that are named, each for SECONDS; what reaches something new is
# kept in corpus/, made as small as it can be. Needs nightly Rust and `cargo install cargo-fuzz`.
#
#   builder/fuzz/run.sh SECONDS [parse] [words] [ignore]
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?how many seconds for each target?}
shift
[ "$#" -gt 0 ] || set -- parse words ignore

fuzz() { cargo +nightly fuzz "$1" --sanitizer none --fuzz-dir . "${@:2}"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for target; do
    mkdir -p "corpus/$target" "$work/$target"
    # What it finds on the way is many times what is worth keeping.
    fuzz run "$target" "$work/$target" "corpus/$target" -- -dict=dictionary.txt -max_len=512 -max_total_time="$seconds" \
        -print_final_stats=1
    mkdir "$work/$target.kept"
    fuzz run "$target" -- -merge=1 -use_counters=0 "$work/$target.kept" "corpus/$target" "$work/$target"
    rm -rf "corpus/$target"
    mv "$work/$target.kept" "corpus/$target"
    echo "fuzz: $target: $(ls "corpus/$target" | wc -l) inputs kept, $(du -bs "corpus/$target" | cut -f1) bytes"
done
