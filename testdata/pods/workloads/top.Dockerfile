# Names of every kind in `/` itself, whatever they are.
FROM BASE/busybox
COPY --chown=50:51 top.Dockerfile /copied/
ADD --chown=60 top.Dockerfile /added
RUN set -eux; mkdir /made /made/inside; echo one > /file; ln -s file /link; ln /file /hard; mkfifo /pipe; mv /made /moved; \
    chown 5:6 /moved /file; chmod 600 /copied/top.Dockerfile; touch /gone
RUN set -eux; test "$(stat -c %u:%g /moved /hard | tr '\n' ' ')" = "5:6 5:6 "; rm /gone; rmdir /moved/inside; \
    mv /link /renamed; cat /renamed
RUN --mount=type=bind,target=/context --mount=type=tmpfs,target=/passing set -eux; test -e /context/top.Dockerfile; touch /passing/x
RUN test ! -e /context; test ! -e /passing
