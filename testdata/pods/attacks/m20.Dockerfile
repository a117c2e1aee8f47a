# M20: processes outlive their step, and write to what is finished.
FROM BASE/busybox
RUN mkdir -p /tmp; (setsid sleep 31337 < /dev/null > /dev/null 2>&1 &); nohup sleep 31337 > /dev/null 2>&1 & \
    sh -c 'sleep 31337 > /dev/null 2>&1 & sleep 31337 > /dev/null 2>&1 &'; \
    (setsid sh -c 'while true; do echo x > /tmp/late; sleep 0.1; rm -f /tmp/late; done' &); true
RUN if cat /proc/*/cmdline 2> /dev/null | tr '\0' '\n' | grep 3133[7]; then exit 1; fi; rm -f /tmp/late; sleep 0.5; test ! -e /tmp/late
