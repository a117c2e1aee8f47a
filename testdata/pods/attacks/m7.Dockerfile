# M7: the place of a mount is a link that leads out of the image.
# either
FROM BASE/busybox
RUN ln -s SENTRY /absolute
RUN --mount=type=cache,target=/absolute/cache echo x > /absolute/cache/x
