# M6: a step puts a link in the place of the directory in which croze made a mount point.
FROM BASE/busybox
RUN mkdir /a
RUN --mount=type=tmpfs,target=/a/b/victim mv /a/b /a/was; rm -rf /a/b; ln -sfn SENTRY /a/b; true
RUN --mount=type=cache,target=/a/b/stub mv /a/b /a/had; rm -rf /a/b; ln -sfn SENTRY /a/b; true
RUN --mount=type=secret,id=m6,target=/d/victim rm -rf /d; ln -sfn SENTRY /d; true
