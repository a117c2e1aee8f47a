# A step fills more memory than its mounts may have.
# weakness: mount-sizes
FROM BASE/busybox
RUN --mount=type=tmpfs,target=/srv/t,size=1m if dd if=/dev/zero of=/srv/t/x bs=64k count=32; then exit 1; fi
