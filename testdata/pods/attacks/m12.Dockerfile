# M12: a step reads the variables of croze.
FROM BASE/busybox
RUN if cat /proc/*/environ 2> /dev/null | tr '\0' '\n' | grep CANARY; then exit 1; fi; if env | grep CANARY; then exit 1; fi
