# M17: what is written to a bind mount stays.
FROM BASE/busybox
RUN --mount=type=bind,target=/c,rw echo x > /c/BIND_BREAKOUT; rm -f /c/files.tar; (echo x > /c/kernel.tar); ls -A /c
RUN --mount=type=bind,target=/c set -eux; test -s /c/files.tar; test ! -e /c/BIND_BREAKOUT; test "$(wc -c < /c/kernel.tar)" -gt 2
