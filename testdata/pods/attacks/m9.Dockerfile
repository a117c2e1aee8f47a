# M9: a control group is made, or an agent named that runs outside.
FROM BASE/busybox
RUN for d in /sys/fs/cgroup /sys/fs/cgroup/*; do test -d $d || continue; \
        if mkdir $d/x && test -e $d/x/cgroup.procs; then echo "made $d/x"; exit 1; fi; \
        if (echo x > $d/release_agent) && test -e $d/cgroup.procs; then echo "wrote to $d"; exit 1; fi; done
