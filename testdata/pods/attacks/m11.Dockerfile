# M11: a step is in the groups of whoever runs croze: the pod's has 999 as well.
FROM BASE/busybox
RUN test "$(id -G)" = "0 10"
USER 1000:7
RUN test "$(id -G)" = 7
