# M7: it leads there by way of the parents of `/`.
# either
FROM BASE/busybox
RUN ln -s ../../../../../../..SENTRY /upwards
RUN --mount=type=tmpfs,target=/upwards/deep/er echo x > /upwards/deep/er/x
