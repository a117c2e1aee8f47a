# M3: the source of a bind mount is a link to `/`.
FROM BASE/busybox AS base
RUN mkdir -p /srv; ln -s / /srv/rootdir; echo base > /srv/mark
FROM BASE/busybox
RUN --mount=type=bind,from=base,source=/srv/rootdir,target=/srv/b,rw set -eux; \
    test "$(cat /srv/b/srv/mark)" = base; test ! -e /srv/b/SENTRY; echo x > /srv/b/BIND_BREAKOUT
RUN test ! -e /BIND_BREAKOUT
