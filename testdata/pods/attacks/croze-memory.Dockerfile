# A step looks into the processes outside: their memory, variables, descriptors, roots. How many descriptors there are
# is no secret.
FROM BASE/busybox
RUN for p in /proc/[0-9]*; do grep -qs croze $p/comm || continue; seen=1; \
        for f in maps environ mem; do \
            if test "$(head -c 1 $p/$f 2> /dev/null | wc -c)" = 1; then echo "reached $p/$f"; exit 1; fi; done; \
        for f in exe cwd root fd/*; do if readlink $p/$f; then echo "reached $p/$f"; exit 1; fi; done; \
        for f in $p/fd/*; do if (: < $f) 2> /dev/null; then echo "reached $f"; exit 1; fi; done; \
        if (: > $p/mem) 2> /dev/null || ls $p/root/ 2> /dev/null | grep .; then echo "reached $p"; exit 1; fi; done; \
    test $$ = 1 || test -n "$seen"
