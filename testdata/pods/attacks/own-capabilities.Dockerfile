# A step has its capabilities over what croze has, here over its network.
# weakness: own-capabilities
FROM BASE/debian
RUN perl -MSocket -e 'exit(socket(my $s, AF_INET, SOCK_RAW, 1) ? 1 : 0)'
