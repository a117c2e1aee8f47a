# M7: so does the working directory, and a parent of it that does not exist.
# either
FROM BASE/busybox
RUN mkdir -p /srv; ln -s SENTRY /srv/absolute; ln -s /nowhere /srv/dangling
WORKDIR /srv/absolute/work
WORKDIR /srv/dangling/work
RUN echo x > x
