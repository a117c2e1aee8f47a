# M1: a descriptor of the builder is left open.
FROM BASE/busybox
RUN test "$(echo /proc/self/fd/*)" = "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3"
