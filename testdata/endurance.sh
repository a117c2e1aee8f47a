#!/usr/bin/env bash
# Runs the long forms of the tests of builder/tests/it/endurance, as root, after testdata/setup.sh: a kill and an error at
# every point, each time that it is reached; 500 random kills; a full disk, in steps of 32 KiB; no space at every call; eight
# processes beside collections for four minutes; 50 power cuts on ext4 and on xfs. An hour or two on two cores; one part with
# its name:
#   testdata/endurance.sh [points|random_kills|disk_full|injected|crowd|power_cut]
set -euo pipefail
cd "$(dirname "$0")/.."

export CROZE_ENDURANCE=long
export CROZE_TEST_IMAGES=${CROZE_TEST_IMAGES:-$PWD/target/base-images}
testdata/base-images.sh "$CROZE_TEST_IMAGES"
exec cargo test --locked -p builder --test it -- --show-output "endurance::${1:-}"
