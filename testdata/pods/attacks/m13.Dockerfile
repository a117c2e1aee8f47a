# M13: a step reaches an abstract socket of the machine's.
# weakness: abstract-sockets
FROM BASE/debian
RUN perl -MSocket -e 'socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die $!; exit(connect($s, sockaddr_un("\0LISTENER")) ? 1 : 0)'
