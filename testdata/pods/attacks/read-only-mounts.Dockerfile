# A step writes to what is mounted to be read; the source is another matter, see m17.
# weakness: read-only-mounts
FROM BASE/busybox
RUN --mount=type=bind,target=/c if (echo x > /c/new); then exit 1; fi
RUN --mount=type=secret,id=m6,target=/s,mode=0666 if (echo x > /s); then exit 1; fi
