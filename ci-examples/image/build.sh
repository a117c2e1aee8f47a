#!/usr/bin/env bash
# Builds the croze image and its `restricted` variant with croze itself, on a Debian machine with Rust.
#
#   ci-examples/image/build.sh REFERENCE [OPTION…]      e.g. registry.example.com/tools/croze:1 --push
#
# The variant's tag ends in `-restricted`. Options go to `croze build`. CROZE is the program to build with and to put
# into the image, by default the static binary that this compiles.
set -euo pipefail
cd "$(dirname "$0")/../.."

reference=${1:?usage: build.sh REFERENCE [OPTION…]}
shift
if [ -z "${CROZE:-}" ]; then
    cargo static
    CROZE=target/x86_64-unknown-linux-gnu/dist/croze
fi
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
chmod 755 "$context"
install -m 755 "$CROZE" "$context/croze"
install -m 755 ci-examples/image/layout.sh "$context/layout.sh"
file=ci-examples/image/Dockerfile
"$CROZE" build --file "$file" --tag "$reference" "$@" "$context"
"$CROZE" build --file "$file" --tag "$reference-restricted" --target restricted "$@" "$context"
