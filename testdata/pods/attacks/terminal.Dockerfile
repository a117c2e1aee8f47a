# M15: a step opens a terminal that was there before it.
# weakness: terminal
FROM BASE/busybox
RUN for t in /dev/pts/[0-9]*; do if (: <> $t) 2> /dev/null; then exit 1; fi; done
