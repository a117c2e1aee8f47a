#!/usr/bin/env bash
# What cargo calls for the crates of this workspace in place of rustc (`RUSTC_WORKSPACE_WRAPPER`): compiles them so that
# libFuzzer sees what an input reaches. Crates of others stay as the ordinary tests have compiled them.
exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
