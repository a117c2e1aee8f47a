# M5: the id or the source of a cache climbs out of the store.
FROM BASE/busybox
RUN --mount=type=cache,id=../../../../../../..SENTRY,target=/srv/c echo x > /srv/c/m5
RUN --mount=type=cache,id=SENTRY,target=/srv/c test ! -e /srv/c/victim; echo x > /srv/c/m5
RUN --mount=type=cache,id=.,target=/srv/c test ! -e /srv/c/victim; echo x > /srv/c/m5
RUN --mount=type=cache,id=.,source=../../../..,target=/srv/c test "$(ls -A /srv/c)" = m5
