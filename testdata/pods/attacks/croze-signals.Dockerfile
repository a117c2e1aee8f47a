# A step ends processes outside.
# weakness: croze-signals
FROM BASE/busybox
RUN for p in /proc/[0-9]*; do grep -qs croze $p/comm || continue; if kill -0 ${p#/proc/}; then exit 1; fi; done
