# M3: the source of a bind mount is a link to `/`.
FROM BASE/busybox AS base
RUN ln -s / /rootdir; echo base > /mark
FROM BASE/busybox
RUN --mount=type=bind,from=base,source=/rootdir,target=/b,rw set -eux; \
    test "$(cat /b/mark)" = base; test ! -e /b/SENTRY; echo x > /b/BIND_BREAKOUT
RUN test ! -e /BIND_BREAKOUT
