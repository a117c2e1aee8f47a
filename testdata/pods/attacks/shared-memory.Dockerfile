# A step leaves something in shared memory, and the next one finds it.
# weakness: shared-memory
FROM BASE/debian
RUN mkdir -p /dev/shm; echo x > /dev/shm/left; perl -e 'defined shmget(0x63726f7a, 4096, 01666) or die $!'
RUN test ! -e /dev/shm/left; perl -e 'exit 1 if defined shmget(0x63726f7a, 0, 0)'
