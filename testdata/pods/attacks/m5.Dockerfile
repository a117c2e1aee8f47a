# M5: the id or the source of a cache climbs out of the store.
FROM BASE/busybox
RUN --mount=type=cache,id=../../../../../../..SENTRY,target=/c echo x > /c/m5
RUN --mount=type=cache,id=SENTRY,target=/c test ! -e /c/victim; echo x > /c/m5
RUN --mount=type=cache,id=.,target=/c test ! -e /c/victim; echo x > /c/m5
RUN --mount=type=cache,id=.,source=../../../..,target=/c test "$(ls -A /c)" = m5
