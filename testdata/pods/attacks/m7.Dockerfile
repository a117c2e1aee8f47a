# M7: the place of a mount is a link that leads out of the image.
# either
FROM BASE/busybox
RUN mkdir -p /srv; ln -s SENTRY /srv/absolute
RUN --mount=type=cache,target=/srv/absolute/cache echo x > /srv/absolute/cache/x
