# M7: so does the working directory, and a parent of it that does not exist.
# either
FROM BASE/busybox
RUN ln -s SENTRY /absolute; ln -s /nowhere /dangling
WORKDIR /absolute/work
WORKDIR /dangling/work
RUN echo x > x
