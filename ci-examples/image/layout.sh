#!/bin/sh
# Lays out the root directory of an image for the `in-place-single` sandbox.
#
#   layout.sh DIRECTORY USER [NAME…]
#
# A container's `/` is root's, whatever the image says of it, but what lies there can be somebody else's. Each of these
# directories stands for the one of that name in the image being built; croze hides those that the image lacks. Links
# lead to a directory in which anything can lie. NAMES are further ones that the images being built have in `/`.
set -eu
cd "$1"
user=$2
shift 2

# What distributions have as directories.
mkdir -p .croze/top boot etc home media mnt opt root run srv tmp usr var
# What Dockerfiles often make there.
mkdir -p app apps build code config configs data dist docs docker-entrypoint-initdb.d docker-entrypoint.d go \
    install output pkg project public rootfs scripts server site source src static target test tests tools \
    workdir workspace
# What is a directory in one image and a link or a file in another.
for name in bin sbin lib lib32 lib64 libx32 entrypoint entrypoint.sh docker-entrypoint.sh init run.sh start.sh \
    install.sh setup.sh healthcheck.sh "$@"; do
    ln -sfn ".croze/top/$name" "$name"
done
# A link of an image that is moved there leads where it would lead from `/`.
for name in */ dev proc sys; do
    name=${name%/}
    [ -L "$name" ] || ln -sfn "/$name" ".croze/top/$name"
done
chown -hR "$user:$user" .
