# A step has the host name of whoever runs croze.
# weakness: host-name
FROM BASE/busybox
RUN test "$(hostname)" = buildkitsandbox
