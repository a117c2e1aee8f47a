# M7: so are the files that croze gives every step.
# either
FROM BASE/busybox
ADD files.tar /
RUN echo x > /tmp/x; echo x > /etc/resolv.conf; echo x > /etc/hosts; true
