# M7: the place of a mount is a file out of the image.
# either
FROM BASE/busybox
RUN mkdir -p /srv; ln -s SENTRY /srv/absolute
RUN --mount=type=secret,id=m6,target=/srv/absolute/victim if test "$(cat /srv/absolute/victim)" = untouched; then exit 1; fi
