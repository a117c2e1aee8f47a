# A user of the image ends, reads or writes what is root's.
# weakness: users
FROM BASE/busybox
RUN echo root > /root/private; chmod 600 /root/private; sleep 100 & pid=$!; can=; \
    for attack in "kill -0 $pid" "cat /proc/$pid/environ" "cat /root/private" "sh -c 'echo x >> /etc/passwd'" "rm -f /etc/group"; do \
        if su nobody -s /bin/sh -c "$attack"; then echo "could: $attack"; can=1; fi; done; kill $pid; test -z "$can"
