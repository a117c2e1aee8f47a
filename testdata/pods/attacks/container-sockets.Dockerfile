# A step sends something to a Unix socket in the container's files.
# weakness: container-sockets
FROM BASE/debian
RUN perl -MSocket -e 'socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!; exit(send($s, "x", 0, sockaddr_un("SOCKET")) ? 1 : 0)'
