#!/usr/bin/env bash
# Prints how croze and Debian's buildah withstand the same faults, kills, hostile images and logs: a table of Markdown, as
# in the README. Exits 1 if croze does not do in every row what it promises. Root, on a machine that testdata/setup.sh has
# prepared; with words only the rows whose names have one of them.
#
#   testdata/compare.sh [WORD…]
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --quiet --workspace --locked --bench comparison -- "$@"
