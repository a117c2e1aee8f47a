# M19: system calls that only attacks on the kernel need: EPERM, or no such call or family. The numbers are x86-64's.
# weakness: system-calls
FROM BASE/debian
RUN perl -e 'my %calls = (unshare_user => [272, 0x10000000], unshare_mount => [272, 0x20000], keyctl => [250, 0, -3, 0], \
        add_key => [248, "user", "x", "x", 1, -3], bpf => [321, 0, 0, 0], perf_event_open => [298, 0, 0, -1, -1, 0], \
        userfaultfd => [323, 0], io_uring_setup => [425, 1, 0], open_by_handle_at => [304, -1, 0, 0], \
        fsopen => [430, "tmpfs", 0], open_tree => [428, -100, "/", 1], move_mount => [429, -1, "", -1, "", 0], \
        mount_setattr => [442, -1, "", 0, 0, 0], setns => [308, 0, 0], kexec_load => [246, 0, 0, 0, 0], \
        init_module => [175, "", 0, ""], swapon => [167, "/x", 0], \
        alg => [41, 38, 5, 0], vsock => [41, 40, 1, 0]); \
    for my $name (sort keys %calls) { my $got = syscall($calls{$name}[0], @{$calls{$name}}[1 .. $#{$calls{$name}}]); \
        my $errno = $! + 0; print "$name: $!\n"; \
        $bad = 1 unless $got == -1 && ($errno == 1 || $errno == 38 || $errno == 97) } exit($bad ? 1 : 0)'
