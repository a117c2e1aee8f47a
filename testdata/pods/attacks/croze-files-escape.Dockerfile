# A step leaves its root the old way and makes files outside, some of a kind that the kernel cannot make for it.
# weakness: croze-files
FROM BASE/debian
RUN perl -e 'mkdir "/inner"; chroot "/inner"; my $place = "../" x 8 . substr("SENTRY", 1); my $reached = -e "$place/victim"; \
    for my $mode (0, 0644) { \
        if (sysopen(my $f, "$place/file", 0101, $mode)) { $reached = 1; unlink "$place/file" } \
        if (mkdir "$place/directory", $mode) { $reached = 1; rmdir "$place/directory" } } \
    exit($reached ? 1 : 0)'
