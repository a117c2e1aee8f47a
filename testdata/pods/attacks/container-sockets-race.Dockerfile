# A step changes an address after it was looked at and before it is used. The numbers are x86-64's.
# weakness: container-sockets
FROM BASE/debian
RUN <<'SCRIPT'
perl -e '
    my $memory = syscall(9, 0, 4096, 3, 0x21, -1, 0);
    my ($path, $name) = ("SOCKET\0", "\0nobody");
    my ($length, $byte) = (2 + length $path, "x");
    for (["/tmp/path", $path], ["/tmp/name", $name]) { open(my $f, ">", $_->[0]); print $f pack("Sa110", 1, $_->[1]) }
    open(my $other, "<", "/tmp/path"); open(my $own, "<", "/tmp/name");
    my $write = sub { syscall(17, fileno($_[0]), $memory, 112, 0) };
    $write->($own);
    my $child = fork // die;
    if (!$child) { while (1) { $write->($other); $write->($own) } }
    socket(my $s, 1, 2, 0) or die $!;
    my $reached;
    for (1 .. 2000) { $reached = 1, last if syscall(44, fileno($s), $byte, 1, 0, $memory, $length) == 1 }
    kill "KILL", $child;
    exit($reached ? 1 : 0)'
SCRIPT
