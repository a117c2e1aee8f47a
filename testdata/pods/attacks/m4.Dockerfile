# M4: an option is smuggled into a mount.
# refused: bind-propagation
FROM BASE/busybox
RUN --mount=type=bind,bind-propagation=shared,source=/etc,target=/c:/d true
