#!/usr/bin/env bash
# Makes the certificates of `registry.test` anew: an authority, a server's certificate, one that has expired, and one of a
# client. The tests use the files beside this script; it is kept to say what is in them.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1"; }

key "$work/ca.key"
openssl req -x509 -new -key "$work/ca.key" -subj "/O=Corp/CN=Corp Root" -days 36500 -out corp.pem \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
cat > "$work/ca.conf" << CONF
[ca]
default_ca = corp
[corp]
database = $work/index
serial = $work/serial
new_certs_dir = $work
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
CONF
touch "$work/index"
echo 1000 > "$work/serial"

# issue NAME KEY FROM TO COMMON-NAME EXTENSION…
issue() {
    local name=$1 key=$2 from=$3 to=$4 common=$5
    shift 5
    openssl req -new -key "$key" -subj "/CN=$common" "$@" -out "$work/request"
    openssl ca -batch -notext -config "$work/ca.conf" -cert corp.pem -keyfile "$work/ca.key" -in "$work/request" \
        -startdate "$from" -enddate "$to" -out "$name" 2> /dev/null
}
key registry.test.key
server=(-addext subjectAltName=DNS:registry.test -addext extendedKeyUsage=serverAuth)
issue registry.test.pem registry.test.key 20260101000000Z 21260101000000Z registry.test "${server[@]}"
issue expired.pem registry.test.key 20200101000000Z 20210101000000Z registry.test "${server[@]}"
key client.key
issue client.pem client.key 20260101000000Z 21260101000000Z client -addext extendedKeyUsage=clientAuth
