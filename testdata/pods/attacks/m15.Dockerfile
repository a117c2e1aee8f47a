# M15: a step types on the terminal of whoever runs croze.
FROM BASE/debian
RUN test ! -t 0; test -z "$(cat)"; if (: < /dev/tty); then exit 1; fi
# TIOCSTI and TIOCLINUX.
RUN perl -e 'for my $fd (0 .. 2) { open(my $f, "+<&=", $fd) or next; \
    for my $call (0x5412, 0x541C) { my $c = "\n"; exit 1 if ioctl($f, $call, $c) } }'
