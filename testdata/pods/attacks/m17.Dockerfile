# M17: what is written to a bind mount stays.
FROM BASE/busybox
RUN --mount=type=bind,target=/srv/c,rw echo x > /srv/c/BIND_BREAKOUT; rm -f /srv/c/files.tar; (echo x > /srv/c/kernel.tar); ls -A /srv/c
RUN --mount=type=bind,target=/srv/c set -eux; test -s /srv/c/files.tar; test ! -e /srv/c/BIND_BREAKOUT; test "$(wc -c < /srv/c/kernel.tar)" -gt 2
