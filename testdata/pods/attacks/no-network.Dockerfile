# A step without a network has one.
FROM BASE/busybox
RUN --network=none a=BASE/; a=${a%/}; if nc -w 2 ${a%:*} ${a#*:} < /dev/null; then exit 1; fi
