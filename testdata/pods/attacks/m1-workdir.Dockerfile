# M1: the working directory is a descriptor of the builder.
# refused: working directory
FROM BASE/busybox
WORKDIR /proc/self/fd/7
RUN pwd
