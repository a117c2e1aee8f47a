# M2: what is mounted out of a cache has become a link to somewhere else.
# either
FROM BASE/busybox
RUN --mount=type=cache,id=m2,target=/c rm -rf /c/sub; ln -s SENTRY /c/sub
RUN --mount=type=cache,id=m2,source=sub,target=/x if cat /x/victim; then exit 1; fi; echo x > /x/m2
