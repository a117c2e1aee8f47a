# What shells and programs expect of /proc, /dev and their own processes.
FROM BASE/debian
SHELL ["/bin/bash", "-euxo", "pipefail", "-c"]
RUN test "$(readlink /proc/self/exe)" = /usr/bin/readlink; \
    diff <(echo same) <(echo same); \
    echo through | cat /dev/stdin > /dev/fd/1 | grep through; \
    cat <<< here | tee >(cat > /srv/tee) > /dev/null; sleep 0.2; grep here /srv/tee; \
    test -d /proc/$$/fd; test "$(ps -o comm= -p $$ || cat /proc/$$/comm)" = bash; \
    echo x > /dev/null; test "$(head -c 3 /dev/zero | wc -c)" = 3; \
    test -c /dev/urandom; test -d /dev/shm; touch /dev/shm/x; \
    mktemp; test "$(ulimit -c)" = 0; grep -q ' / ' /proc/self/mountinfo
# Job control, signals, many processes and threads at once.
RUN for i in {1..50}; do (exit 3) & done; wait; \
    trap 'touch /srv/trapped' USR1; kill -USR1 $$; test -e /srv/trapped; \
    (sleep 60 & echo $! > /srv/pid); kill "$(cat /srv/pid)"; rm /srv/pid; \
    start-stop-daemon --start --background --make-pidfile --pidfile /run/s.pid --exec /bin/sleep -- 60; \
    start-stop-daemon --stop --pidfile /run/s.pid; rm -f /run/s.pid; \
    perl -e 'fork for 1..6; exit' ; perl -MSocket -e 'socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0) or die'
# Left running: neither the step waits for them, nor do they write into a later one.
RUN (setsid bash -c 'sleep 1; while true; do touch /srv/late; sleep 0.1; done' &> /dev/null &); \
    nohup sleep 300 &> /dev/null & disown; echo begun > /srv/begun
RUN sleep 1.5; test ! -e /srv/late
RUN cd /tmp; mkdir -p a/b; cp -a /etc/skel a/b/; tar -cf - a | tar -xf - -C /opt; find / -xdev -perm -4000 | sort > /srv/setuid; \
    getent passwd root daemon > /srv/passwd; hostname > /srv/name; ln -s /proc/self/fd/1 /srv/log; rm -r /tmp/a
