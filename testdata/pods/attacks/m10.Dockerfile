# M10: capabilities are inherited, or more than Docker's can be had.
FROM BASE/busybox
RUN set -eux; mask() { grep "^$1:" /proc/self/status | cut -f 2; }; \
    test $((0x$(mask CapInh))) = 0; test $((0x$(mask CapAmb))) = 0; \
    test $((0x$(mask CapBnd) & ~0xa80425fb)) = 0; test $((0x$(mask CapPrm) & ~0xa80425fb)) = 0
USER 1000
RUN set -eux; mask() { grep "^$1:" /proc/self/status | cut -f 2; }; \
    test $((0x$(mask CapEff))) = 0; test $((0x$(mask CapPrm))) = 0; test $((0x$(mask CapInh))) = 0
