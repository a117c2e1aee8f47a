# A step leaves its root the old way and sends something to a Unix socket in the container's files.
# weakness: container-sockets
FROM BASE/debian
RUN perl -MSocket -e 'mkdir "/inner"; chroot "/inner"; socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!; \
    exit(send($s, "x", 0, sockaddr_un("../" x 8 . substr("SOCKET", 1))) ? 1 : 0)'
