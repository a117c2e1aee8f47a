# Names in `/` that many Dockerfiles have there: made, seen, given away, moved and removed.
FROM BASE/busybox
RUN set -eux; for name in app data src entrypoint.sh lib32; do test ! -e /$name; if ls -A / | grep -x $name; then exit 1; fi; done
RUN set -eux; mkdir /app; if mkdir /app; then exit 1; fi; ls -A / | grep -x app; chown 5:6 /app; chmod 750 /app; \
    mkdir -p /data/x; if rmdir /data; then exit 1; fi; rmdir /data/x; rmdir /data; test ! -e /data; mkdir /lib32
RUN set -eux; test "$(stat -c %u:%g:%a /app)" = 5:6:750; ls -A / | grep -x app; echo one > /app/one; ln -s /app/one /app/link; \
    mv /app /src; test ! -e /app; cat /src/link && exit 1; cat /src/one; test "$(stat -c %u:%g:%a /src)" = 5:6:750; \
    test -d /lib32; rmdir /lib32; test ! -e /lib32; mkdir /config
COPY --chown=7:8 places.Dockerfile /entrypoint.sh
RUN set -eux; test "$(stat -c %u:%g /entrypoint.sh)" = 7:8; chmod 700 /entrypoint.sh; ls -A / | grep -x entrypoint.sh; \
    mv /entrypoint.sh /tmp/moved; test ! -e /entrypoint.sh; echo '#!/bin/sh' > /start.sh; mv /tmp/moved /entrypoint.sh
WORKDIR /workspace
RUN set -eux; mkdir -p /srv; rm -r /config; echo two > two; cd /; (cd workspace; cat two); ls -A / > /tmp/names; \
    find / -xdev -maxdepth 1 | sort > /tmp/found
# What is mounted for a step leaves nothing behind, wherever that is put where nothing can be mounted.
RUN <<SCRIPT
#!/bin/sh
set -eux
echo script > /srv/script
test "$(stat -c %u:%g "$0")" = 0:0
SCRIPT
RUN --mount=type=cache,target=/var/cache/kept --mount=type=tmpfs,target=/run/passing --mount=type=bind,target=/mnt/context \
    set -eux; touch /var/cache/kept/file /run/passing/file; chown 5:6 /var/cache/kept/file; test -e /mnt/context/places.Dockerfile
RUN --mount=type=cache,target=/var/cache/kept \
    test "$(stat -c %u:%g /var/cache/kept/file)" = 5:6; test ! -e /run/passing; test ! -e /mnt/context
