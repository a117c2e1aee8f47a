# M6: a step puts a link in the place of the directory in which croze made a mount point.
FROM BASE/busybox
RUN mkdir -p /srv/a
RUN --mount=type=tmpfs,target=/srv/a/b/victim mv /srv/a/b /srv/a/was; rm -rf /srv/a/b; ln -sfn SENTRY /srv/a/b; true
RUN --mount=type=cache,target=/srv/a/b/stub mv /srv/a/b /srv/a/had; rm -rf /srv/a/b; ln -sfn SENTRY /srv/a/b; true
RUN --mount=type=secret,id=m6,target=/srv/d/victim rm -rf /srv/d; ln -sfn SENTRY /srv/d; true
