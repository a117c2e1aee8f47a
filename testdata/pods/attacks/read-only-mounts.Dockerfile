# A step writes to what is mounted to be read; the source is another matter, see m17.
# weakness: read-only-mounts
FROM BASE/busybox
RUN --mount=type=bind,target=/srv/c if (echo x > /srv/c/new); then exit 1; fi
RUN --mount=type=secret,id=m6,target=/srv/s,mode=0666 if (echo x > /srv/s); then exit 1; fi
