# M7: the place of a mount is a file out of the image.
# either
FROM BASE/busybox
RUN ln -s SENTRY /absolute
RUN --mount=type=secret,id=m6,target=/absolute/victim if test "$(cat /absolute/victim)" = untouched; then exit 1; fi
