# M8: the image's `/dev/null` is a setting of the machine; and what is masked stays so.
FROM BASE/busybox
ADD devices.tar /
RUN set -eu; test "$(stat -c %t:%T /dev/null)" = 1:3; echo x > /dev/null; \
    test -z "$(head -c 1 /proc/kcore || true)"; test -z "$(head -c 1 /proc/keys || true)"; \
    for f in sysrq-trigger sys/kernel/core_pattern sys/vm/drop_caches; do \
        if (echo x > /proc/$f) 2> /dev/null; then exit 1; fi; done
