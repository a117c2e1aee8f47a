# Every kind of file, owner and mode, made by a static program; read back, and changed again by later steps.
FROM BASE/busybox
RUN set -eux; mkdir -p /srv/f/dir; cd /srv/f; \
    echo one > plain; echo two > setuid; chown 12:34 setuid; chmod 4755 setuid; \
    echo three > setgid; chown 7:8 setgid; chmod 2711 setgid; \
    echo four > secret; chown 5:6 secret; chmod 000 secret; \
    mkdir sticky closed; chown 9:9 sticky closed; chmod 1777 sticky; chmod 555 closed; \
    ln plain hard; ln -s plain soft; chown -h 21:22 soft; ln -s /nowhere dangling; \
    mkfifo pipe; chown 3:4 pipe; chmod 600 pipe; \
    ln setuid setuid-too; ln -s soft softer
RUN set -eux; cd /srv/f; is() { test "$(stat -c %u:%g:%a "$1")" = "$2"; }; \
    is setuid 12:34:4755; is setgid 7:8:2711; is secret 5:6:0; is closed 9:9:555; is soft 21:22:777; is pipe 3:4:600; \
    is sticky 9:9:1777; test "$(stat -c %h plain)" = 2; cat secret
# Changed by later steps: owners through hard links, modes that a new owner takes away, names, what is deleted.
RUN set -eux; cd /srv/f; is() { test "$(stat -c %u:%g:%a "$1")" = "$2"; }; \
    chown 100:100 hard; chown 13 setgid; is setgid 13:8:711; \
    mv secret moved; is moved 5:6:0; mv closed dir/inside; rm setuid-too; rm -r sticky; mkdir sticky; \
    cp -a setuid copy; is copy 12:34:4755; chown -R 40:41 dir; is dir/inside 40:41:555; ln -sf hard soft
# Archives keep what they say.
RUN set -eux; cd /srv/f; is() { test "$(stat -c %u:%g:%a "$1")" = "$2"; }; \
    tar cf ../a.tar .; mkdir ../g; tar xpf ../a.tar -C ../g; cd ../g; is moved 5:6:0; is pipe 3:4:600; is copy 12:34:4755; \
    rm ../a.tar
# Without a network the registry is out of reach.
RUN --network=none a=BASE/; a=${a%/}; if nc -w 2 ${a%:*} ${a#*:} < /dev/null; then exit 1; fi
RUN a=BASE/; a=${a%/}; nc -w 2 ${a%:*} ${a#*:} < /dev/null
COPY --chown=50:51 --chmod=640 files.Dockerfile /srv/copied/
ADD --chown=60 files.Dockerfile /srv/added
USER 1234:5678
WORKDIR /home
RUN set -eux; test "$(id -u):$(id -g)" = 1234:5678; touch /tmp/mine; test "$(stat -c %u:%g /tmp/mine)" = 1234:5678; \
    if cat /srv/f/moved; then exit 1; fi; \
    if touch /srv/f/x; then exit 1; fi; \
    if chown 0 /tmp/mine; then exit 1; fi
