# M7: it leads there by way of the parents of `/`.
# either
FROM BASE/busybox
RUN mkdir -p /srv; ln -s ../../../../../../..SENTRY /srv/upwards
RUN --mount=type=tmpfs,target=/srv/upwards/deep/er echo x > /srv/upwards/deep/er/x
