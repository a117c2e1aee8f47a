# M7: so are the directories of the kernel's file systems.
# either
FROM BASE/busybox
ADD kernel.tar /
RUN echo x > /dev/victim; echo x > /sys/victim; true
