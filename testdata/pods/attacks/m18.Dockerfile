# M18: a step mounts, or makes writable what is not.
# weakness: system-calls
FROM BASE/debian
RUN for command in "mount -t tmpfs t /tmp" "mount -o remount,rw /" "mount -o remount,rw,bind /sys" "mount --bind /etc /mnt" \
        "umount /proc" "umount -l /dev" "unshare -m true" "unshare -U true" "pivot_root / /"; do \
        if $command; then exit 1; fi; done
RUN --mount=type=bind,target=/srv/c if mount -o remount,rw,bind /srv/c; then exit 1; fi; echo x > /srv/c/BIND_BREAKOUT || true
