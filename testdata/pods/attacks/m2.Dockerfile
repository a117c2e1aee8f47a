# M2: what is mounted out of a cache has become a link to somewhere else.
# either
FROM BASE/busybox
RUN --mount=type=cache,id=m2,target=/srv/c rm -rf /srv/c/sub; ln -s SENTRY /srv/c/sub
RUN --mount=type=cache,id=m2,source=sub,target=/srv/x if cat /srv/x/victim; then exit 1; fi; echo x > /srv/x/m2
