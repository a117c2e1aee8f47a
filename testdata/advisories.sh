#!/usr/bin/env bash
# Prints each row of the threat table with its tests and their results: `ok`, `FAILED`, or `not run`. With the log of a run
# of all tests (`cargo test … 2>&1 | tee LOG`) it reads that, without one it runs them. Exits 1 if a test has failed.
#
#   testdata/advisories.sh [LOG]
set -euo pipefail
cd "$(dirname "$0")/.."

log=${1:-}
if [ -z "$log" ]; then
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    testdata/test.sh > "$log" 2>&1 || true
fi
awk -F '\t' '
    # A log: which binary is running, and how its tests end. Those of sandboxes run once for each place.
    FILENAME == ARGV[1] {
        line = $0
        gsub(/\033\[[0-9;]*m/, "", line)
        if (line ~ /^test .* \.\.\. /) {
            name = line
            sub(/^test /, "", name)
            sub(/( as .*)? \.\.\. .*/, "", name)
            sub(/ - should panic$/, "", name)
            sub(/.*::/, "", name)
            passed = line ~ /\.\.\. ok/
            result[name] = result[name] == "FAILED" || !passed ? "FAILED" : "ok"
        }
        next
    }
    /^#/ { next }
    {
        count = split($3, tests, " ")
        state = $4 ~ /^does not apply/ ? "-" : count == 0 ? "missing" : "ok"
        text = ""
        for (i = 1; i <= count; i++) {
            name = tests[i]
            sub(/.*::/, "", name)
            ended = name in result ? result[name] : "not run"
            if (ended == "FAILED") { state = "FAILED"; failed = 1 }
            else if (ended != "ok" && state == "ok") state = "not run"
            text = text sprintf("         %-8s %s\n", ended, tests[i])
        }
        rows[state]++
        printf "%-11s %-8s %s\n%s", $1, state, $2, text
        if ($4 != "") printf "         %s\n", $4
    }
    END {
        printf "\nrows:"
        for (state in rows) printf " %s %d", state, rows[state]
        printf "\n"
        exit failed
    }
' "$log" testdata/advisories.tsv
