#!/usr/bin/env bash
# The main job before your eyes, on a Debian machine with Rust: installs what it needs, makes a base image
# from this machine's own Debian packages, starts a real registry on loopback, builds a real application as
# an unprivileged user without any daemon, pushes it, builds it again, and lets another tool look at it.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

say "installing what is missing (packages, an unprivileged user with subordinate ids)"
testdata/setup.sh

say "compiling croze, and making a base image from this machine's Debian packages meanwhile"
images=${CROZE_TEST_IMAGES:-$PWD/target/base-images}
testdata/base-images.sh "$images" > target-base-images.log 2>&1 &
base=$!
cargo build --release --locked --package builder
wait "$base" || { cat target-base-images.log; exit 1; }
rm -f target-base-images.log

# Everything from here on lies where the unprivileged user can reach it, and goes away at the end.
work=$(mktemp -d /tmp/croze-demo-XXXXXX)
registry=
cleanup() {
    if [ -n "$registry" ]; then kill "$registry" 2> /dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT
chmod 755 "$work"
install -m 755 target/release/croze "$work/croze"
cp -r testdata/app "$work/app"
chown -R croze-ci: "$work"

say "starting a registry on loopback and putting the base image into it"
port=$(( 20000 + RANDOM % 20000 ))
host=127.0.0.1:$port
cat > "$work/registry.yml" <<YAML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: $host}
YAML
docker-registry serve "$work/registry.yml" > "$work/registry.log" 2>&1 &
registry=$!
for _ in $(seq 100); do (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null && break; sleep 0.1; done
skopeo copy --quiet --dest-tls-verify=false "oci:$images:debian" "docker://$host/debian:12-slim"

# croze as the unprivileged user, from an empty environment.
croze() {
    (cd "$work/app" && setpriv --reuid croze-ci --regid croze-ci --init-groups --inh-caps=-all -- \
        env -i PATH="$PATH" HOME=/home/croze-ci CROZE_ROOT="$work/state" "$work/croze" "$@")
}
build() { croze build --build-arg "BASE=$host/debian:12-slim" -t "$host/app:1" --push .; }

say "what this machine allows: croze doctor"
croze doctor

say "building testdata/app as $(setpriv --reuid croze-ci --regid croze-ci --init-groups id -un), without root and without a daemon"
time build

say "the same again: nothing to do"
time build

say "what another tool finds in the registry: skopeo inspect"
skopeo inspect --tls-verify=false "docker://$host/app:1" | jq '{Name, Digest, Labels, Layers}'
skopeo inspect --tls-verify=false --config "docker://$host/app:1" \
    | jq '{config, history: [.history[] | select(.comment == "buildkit.dockerfile.v0") | .created_by]}'
say "done"
